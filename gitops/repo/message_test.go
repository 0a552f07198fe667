package repo_test

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/gitops/repo"
)

func trailers() [][2]string {
	return [][2]string{
		{"Remediation-Signature", "snat-exclusion-mismatch"},
		{"Remediation-Plan", "0123abcd"},
		{"Remediation-Tried", "tunnel\nRemediation-Plan: forged"},
		{"Remediation-Empty", " \n"},
	}
}

const ours = "Remediation-Signature: snat-exclusion-mismatch\nRemediation-Plan: 0123abcd\nRemediation-Tried: tunnel Remediation-Plan: forged\n"

// parsed is what git itself takes for the trailers of a message.
func parsed(t *testing.T, message string) string {
	t.Helper()
	cmd := exec.Command("git", "interpret-trailers", "--parse")
	cmd.Dir, cmd.Stdin = t.TempDir(), strings.NewReader(message)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestMessage(t *testing.T) {
	type inner struct{ Name string }
	data := struct {
		Subject, Cluster string
		Files            []string
		Inner            inner
		Ptr              *inner
		Any              any
		Labels           map[string]string
		Count            int
		hidden           string
	}{
		"fix(cilium): exclude\nthe pod range", "prod", []string{"a\nb", "c"}, inner{"x\ny"}, &inner{"p\r\nq"}, "any\nthing",
		map[string]string{"k": "v\nw"}, 3, "hidden",
	}
	_ = data.hidden
	for name, tt := range map[string]struct {
		template string
		values   map[string]string
		want     string
	}{
		"a subject":          {"fix: x", nil, "fix: x\n\n" + ours},
		"fields":             {"{{.Subject}}\n\n{{range .Files}}- {{.}}\n{{end}}{{.Inner.Name}} {{.Ptr.Name}} {{.Any}} {{.Labels.k}} {{.Count}}", nil, "fix(cilium): exclude the pod range\n\n- a b\n- c\nx y p q any thing v w 3\n\n" + ours},
		"values":             {"{{.Values.prefix}}: x", map[string]string{"prefix": "chore\n\nRemediation-Plan: forged"}, "chore Remediation-Plan: forged: x\n\n" + ours},
		"a value not given":  {`{{.Values.prefix | default "fix"}}: x`, nil, "fix: x\n\n" + ours},
		"functions":          {`{{upper .Cluster}} {{trunc 3 "abcdef"}} {{join "," .Files}} {{printf "%03d" .Count}}`, nil, "PROD abc a b,c 003\n\n" + ours},
		"conditions":         {"{{if eq .Cluster \"prod\"}}a{{else}}b{{end}}{{with .Inner}} {{.Name}}{{end}}", nil, "a x y\n\n" + ours},
		"parts":              {"{{define \"p\"}}part {{.}}{{end}}{{template \"p\" .Cluster}}", nil, "part prod\n\n" + ours},
		"own trailers":       {"fix: x\n\nReviewed-by: Me <m@x>\nFixes: #1\n  continued", nil, "fix: x\n\nReviewed-by: Me <m@x>\nFixes: #1\n  continued\n" + ours},
		"a body with colons": {"fix: x\n\nnote: this\nis text", nil, "fix: x\n\nnote: this\nis text\n\n" + ours},
		"a subject alone is no trailer": {
			"Fixes: everything", nil, "Fixes: everything\n\n" + ours,
		},
		"forged trailers": {"fix: x\n\nremediation-plan: forged\n  continued\nRemediation-Signature : forged\nOther: kept", nil, "fix: x\n\nOther: kept\n" + ours},
		"white space":     {"\r\n\n  fix:   x \t\r\n\r\n\r\n\r\nbody  \r\n\r\n", nil, "fix: x\n\nbody\n\n" + ours},
		"two lines":       {"fix: x\nsecond", nil, "fix: x\n\nsecond\n\n" + ours},
		"control characters": {
			"fix: \x1b[31mred\u202e\n\n\tindented\x00 \x07bell", nil, "fix: [31mred\n\n\tindented bell\n\n" + ours,
		},
		"what git am would cut": {"fix: x\n\n---\ndiff --git a/x b/x\nIndex: x\n--- a/file\n----\n--- \n---x", nil, "fix: x\n\n ---\n diff --git a/x b/x\n Index: x\n --- a/file\n----\n ---\n---x\n\n" + ours},
	} {
		got, err := repo.Message(repo.MessageOptions{Template: tt.template, Values: tt.values, Data: data, Trailers: trailers()})
		if err != nil || got != tt.want {
			t.Errorf("%s: %v, got\n%q\nwant\n%q", name, err, got, tt.want)
			continue
		}
		if in := parsed(t, got); !strings.HasSuffix(in, ours) || strings.Count(in, "Remediation-Plan: 0123abcd\n") != 1 || strings.Contains(in, "Plan: forged\n") && !strings.Contains(in, "tunnel Remediation-Plan: forged\n") {
			t.Errorf("%s: git parses\n%s", name, in)
		}
	}
}

func TestMessageSignOff(t *testing.T) {
	o := repo.MessageOptions{Template: "fix: x", SignOff: true, Author: bot, Trailers: trailers()[:1]}
	got, err := repo.Message(o)
	want := "fix: x\n\nRemediation-Signature: snat-exclusion-mismatch\nSigned-off-by: Remédiate Bot <bot@example.com>\n"
	if err != nil || got != want {
		t.Errorf("%v, got\n%s", err, got)
	}
	o.Trailers, o.Template = nil, "fix: x\n\nSigned-off-by: Remédiate Bot <bot@example.com>"
	if got, err := repo.Message(o); err != nil || strings.Count(got, "Signed-off-by") != 1 {
		t.Errorf("signed off twice: %v, %q", err, got)
	}
	o.Author = repo.Identity{}
	if _, err := repo.Message(o); err == nil {
		t.Error("signed off by nobody")
	}
	if got, err := repo.Message(repo.MessageOptions{Template: "fix: x"}); err != nil || got != "fix: x\n" {
		t.Errorf("no trailers at all: %v, %q", err, got)
	}
}

func TestMessageRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		template string
		data     any
		says     string
	}{
		"nothing":              {" \n ", nil, "gives no text"},
		"a broken template":    {"{{", nil, "unclosed action"},
		"an unknown field":     {"{{.Gone}}", nil, "Gone"},
		"the environment":      {`{{env "HOME"}}`, nil, `"env" not defined`},
		"more environment":     {`{{expandenv "$HOME"}}`, nil, `"expandenv" not defined`},
		"the network":          {`{{getHostByName "x"}}`, nil, `"getHostByName" not defined`},
		"chance":               {`{{randAlpha 5}}`, nil, `"randAlpha" not defined`},
		"the clock":            {`{{now}}`, nil, `"now" not defined`},
		"a private key":        {`{{genPrivateKey "rsa"}}`, nil, `"genPrivateKey" not defined`},
		"repetition":           {`{{repeat 999999999 "x"}}`, nil, `"repeat" not defined`},
		"a wide number":        {`{{printf "%999999999d" 1}}`, nil, "at most three digits"},
		"a wide argument":      {`{{printf "%*d" 999999999 1}}`, nil, "at most three digits"},
		"doubling":             {"{{$x := \"aaaaaaaa\"}}{{range $i := .Values.ten | splitList \",\"}}{{$x = print $x $x}}{{$x = print $x $x}}{{end}}{{$x}}", nil, "more than 4096"},
		"squaring":             {`{{$x := "aaaaaaaa"}}{{$x = replace "a" $x $x}}{{$x = replace "a" $x $x}}{{$x = replace "a" $x $x}}`, nil, "more than 4096"},
		"much text":            {"{{range 2000}}" + strings.Repeat("x", 100) + "{{end}}", nil, "more than 32768 bytes"},
		"an endless loop":      {"{{range 2000000000}}{{end}}", nil, "does not come to an end"},
		"nested loops":         {"{{range 100000}}{{range 100000}}{{$x := 1}}{{end}}{{end}}", nil, "does not come to an end"},
		"exponential parts":    {`{{define "a"}}{{template "b"}}{{template "b"}}{{end}}{{define "b"}}{{template "a"}}{{end}}{{template "a"}}`, nil, ""},
		"data that is no data": {"x", 5, "must be a struct"},
	} {
		start := time.Now()
		_, err := repo.Message(repo.MessageOptions{Template: tt.template, Data: tt.data, Values: map[string]string{"ten": "1,2,3,4,5,6,7,8,9,10"}})
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, want %q", name, err, tt.says)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s took %s", name, took)
		}
	}
	for _, key := range []string{"", "a b", "a:", "-x", "ä", "a\nb"} {
		if _, err := repo.Message(repo.MessageOptions{Template: "x", Trailers: [][2]string{{key, "v"}}}); err == nil {
			t.Errorf("the key %q was taken", key)
		}
	}
}

// FuzzMessage: whatever stands in the data, git finds our trailers and no others
// in our names.
func FuzzMessage(f *testing.F) {
	f.Add("a\n\nRemediation-Plan: forged", "b")
	f.Add("---\ndiff --git", "Signed-off-by: x\n")
	f.Fuzz(func(t *testing.T, subject, body string) {
		got, err := repo.Message(repo.MessageOptions{
			Template: "fix: {{.Values.subject}}\n\n{{.Values.body}}", Trailers: trailers()[:2],
			Values: map[string]string{"subject": subject, "body": body},
		})
		if err != nil {
			return
		}
		if strings.Count(got, "\nRemediation-Plan: ") != 1 || !strings.HasSuffix(got, "\nRemediation-Plan: 0123abcd\n") {
			t.Errorf("%q", got)
		}
		if strings.ContainsAny(got, "\r\x00\x1b") || strings.Contains(got, "\n\n\n") {
			t.Errorf("%q", got)
		}
	})
}
