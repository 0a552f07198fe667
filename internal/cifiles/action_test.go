package cifiles

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// action is the part of GitHub's metadata syntax that the file uses.
// (docs.github.com, "Metadata syntax reference")
type action struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Author      string `json:"author"`
	Branding    struct {
		Icon  string `json:"icon"`
		Color string `json:"color"`
	} `json:"branding"`
	Inputs map[string]struct {
		Description string `json:"description"`
		Default     string `json:"default"`
	} `json:"inputs"`
	Outputs map[string]struct {
		Description string `json:"description"`
		Value       string `json:"value"`
	} `json:"outputs"`
	Runs struct {
		Using string `json:"using"`
		Steps []step `json:"steps"`
	} `json:"runs"`
}

type step struct {
	Name  string            `json:"name"`
	ID    string            `json:"id"`
	Shell string            `json:"shell"`
	Env   map[string]string `json:"env"`
	Run   string            `json:"run"`
}

// job is one use of the action in a workflow.
type job struct {
	inputs    map[string]string
	ref       string
	env       []string
	workspace string
}

// outcome is what the runner and the reader see of it.
type outcome struct {
	result
	summary, args string
	outputs       map[string]string
}

var expression = regexp.MustCompile(`\$\{\{\s*([^}]*?)\s*\}\}`)

// runAction does what the runner does with a composite action.
func runAction(t *testing.T, j job) outcome {
	t.Helper()
	var a action
	parse(t, "action.yml", &a)
	values := map[string]string{"github.action_ref": j.ref}
	for name, in := range a.Inputs {
		values["inputs."+name] = in.Default
	}
	for name, value := range j.inputs {
		if _, ok := a.Inputs[name]; !ok {
			t.Fatalf("no input %q", name)
		}
		values["inputs."+name] = value
	}
	if j.workspace == "" {
		j.workspace = t.TempDir()
	}
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	shared := append([]string{
		"GITHUB_ACTIONS=true", "GITHUB_WORKSPACE=" + j.workspace, "RUNNER_TEMP=" + dir, "RUNNER_OS=Linux",
		"RUNNER_ARCH=" + map[string]string{"amd64": "X64", "arm64": "ARM64"}[runtime.GOARCH],
		"GITHUB_PATH=" + in("path"), "GITHUB_STEP_SUMMARY=" + in("summary"), "STUB_ARGS=" + in("args"),
	}, j.env...)
	out := outcome{outputs: map[string]string{}}
	for i, s := range a.Runs.Steps {
		outputs := in(fmt.Sprint("outputs", i))
		env := append(slices.Clone(shared), "GITHUB_OUTPUT="+outputs)
		for name, value := range s.Env {
			env = append(env, name+"="+expression.ReplaceAllStringFunc(value, func(e string) string {
				v, ok := values[expression.FindStringSubmatch(e)[1]]
				if !ok {
					t.Fatalf("step %s: %s is not known", s.Name, e)
				}
				return v
			}))
		}
		r := script(t, []string{"bash", "--noprofile", "--norc", "-e", "-o", "pipefail"}, j.workspace, s.Run, env)
		for _, line := range strings.Split(strings.TrimSpace(readIf(outputs)), "\n") {
			name, value, _ := strings.Cut(line, "=")
			values["steps."+s.ID+".outputs."+name] = value
			out.outputs[name] = value
		}
		out.code, out.stdout, out.both = r.code, out.stdout+r.stdout, out.both+r.both
		if r.code != 0 {
			break
		}
	}
	out.summary, out.args = readIf(in("summary")), readIf(in("args"))
	return out
}

func TestActionForm(t *testing.T) {
	var a action
	parse(t, "action.yml", &a)
	if a.Name == "" || a.Description == "" || a.Runs.Using != "composite" || len(a.Description) > 125 {
		t.Errorf("the marketplace wants a name and a description of at most 125 letters, %d here; using %q", len(a.Description), a.Runs.Using)
	}
	used := map[string]bool{}
	for _, s := range a.Runs.Steps {
		if strings.Contains(s.Run, "${{") {
			t.Errorf("step %q puts an expression into its script: whoever controls the value controls the runner", s.Name)
		}
		if s.Shell != "bash" || !strings.HasPrefix(s.Run, "set -euo pipefail\n") {
			t.Errorf("step %q: shell %q", s.Name, s.Shell)
		}
		for _, value := range s.Env {
			for _, m := range expression.FindAllStringSubmatch(value, -1) {
				used[m[1]] = true
			}
		}
	}
	for name, in := range a.Inputs {
		if in.Description == "" || !used["inputs."+name] {
			t.Errorf("input %q: description %q, used %v", name, in.Description, used["inputs."+name])
		}
	}
	if got := a.Outputs["exit-code"].Value; got != "${{ steps.check.outputs.exit-code }}" {
		t.Errorf("output exit-code is %q", got)
	}
}

func TestActionVersions(t *testing.T) {
	if !have(t, "bash", "curl") {
		return
	}
	for _, c := range []struct {
		name, version, ref, folder, says string
	}{
		{"given", "v" + number, "", "/download/v" + number, ""},
		{"without v", number, "", "/download/v" + number, ""},
		{"the action's own tag", "", "v" + number, "/download/v" + number, ""},
		{"given goes before the tag", number, "v9.9.9", "/download/v" + number, ""},
		{"a branch", "", "main", "/latest/download", ""},
		{"a hash", "", strings.Repeat("a", 40), "/latest/download", ""},
		{"a floating tag", "", "v1", "/latest/download", ""},
		{"latest", "latest", "v" + number, "/latest/download", ""},
		{"nothing said", "", "", "/latest/download", ""},
		{"no such release", "v9.9.9", "", "", "the download of checksums.txt failed"},
		{"no version", "1.2.3; touch pwned", "", "", "the input version is no release"},
		{"a path", "1.2.3/../../other", "", "", "the input version is no release"},
		{"a command", "$(touch pwned)", "", "", "the input version is no release"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rel := serve(t, []byte(stub))
			workspace := t.TempDir()
			got := runAction(t, job{inputs: map[string]string{"version": c.version, "releases-url": rel.url}, ref: c.ref, workspace: workspace})
			if c.says != "" {
				if got.code != 1 || !strings.Contains(got.stdout, "::error title=remediate check::"+c.says) || got.args != "" {
					t.Errorf("exit code %d, args %q\n%s", got.code, got.args, got.both)
				}
			} else if want := []string{c.folder + "/checksums.txt", c.folder + "/" + archiveName(number)}; got.code != 0 || !gocmp.Equal(want, rel.asked) {
				t.Errorf("exit code %d, asked for %q\n%s", got.code, rel.asked, got.both)
			}
			if left, err := os.ReadDir(workspace); err != nil || len(left) > 0 {
				t.Errorf("left in the workspace: %v, %v", left, err)
			}
		})
	}
}

func TestActionRefuses(t *testing.T) {
	if !have(t, "bash", "curl") {
		return
	}
	good := string(serve(t, []byte(stub)).files["checksums.txt"])
	for _, c := range []struct {
		name, sums, says string
		version          string // number unless said
		env              []string
	}{
		{"a wrong checksum", strings.Repeat("0", 64) + "  " + archiveName(number) + "\n", "nothing was run", "", nil},
		{"a short checksum", "0  " + archiveName(number) + "\n", "nothing was run", "", nil},
		{"no checksum", archiveName(number) + "\n", "names no archive", "", nil},
		{"an empty list", "", "names no archive", "", nil},
		{"another version", strings.ReplaceAll(good, number, "1.2.4"), "names no archive", "", nil},
		{"a name that only looks alike", strings.ReplaceAll(good, "1.2.3-rc.1", "1x2.3-rc.1"), "names no archive", "", nil},
		{"a path in the version", strings.ReplaceAll(good, number, "1/../../x"), "names no archive", "latest", nil},
		{"a path for a name", strings.ReplaceAll(good, "remediate_", "../remediate_"), "names no archive", "", nil},
		{"an archive that is not there", "", "", "", nil},
		{"a runner of another system", good, "Linux and macOS", "", []string{"RUNNER_OS=Windows"}},
		{"a runner of another kind", good, "X64 and ARM64", "", []string{"RUNNER_ARCH=ARM"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rel := serve(t, []byte(stub))
			rel.sums(c.sums)
			if c.says == "" {
				rel.sums(good)
				delete(rel.files, archiveName(number))
				c.says = "the download of " + archiveName(number) + " failed"
			}
			got := runAction(t, job{inputs: map[string]string{"version": cmp.Or(c.version, number), "releases-url": rel.url}, env: c.env})
			if got.code != 1 || !strings.Contains(got.stdout, "::error title=remediate check::") || !strings.Contains(got.stdout, c.says) {
				t.Errorf("exit code %d, want %q\n%s", got.code, c.says, got.both)
			}
			if strings.Contains(got.both, "remediate stub") || got.args != "" || got.outputs["bin"] != "" {
				t.Errorf("the program was run:\n%s", got.both)
			}
		})
	}
}

func TestActionPassesInputs(t *testing.T) {
	if !have(t, "bash", "curl") {
		return
	}
	rel := serve(t, []byte(stub))
	workspace := t.TempDir()
	write(t, filepath.Join(workspace, "sub dir", "x"), "")
	got := runAction(t, job{workspace: workspace, inputs: map[string]string{
		"releases-url": rel.url, "working-directory": "sub dir", "base": "$(touch pwned)", "snapshot": "a b/c", "release": `"; touch pwned; "`,
		"cluster-path": "`touch pwned`", "fail-on": "critical", "chart": "-x", "args": "--pod-cidr 10.0.0.0/8\n  --offline  * $HOME 'q r'",
		"sarif-file": "out/r.sarif",
	}})
	each := []string{"check", "--base=$(touch pwned)", "--snapshot=a b/c", `--release="; touch pwned; "`, "--cluster-path=`touch pwned`",
		"--fail-on=critical", "--chart=-x", "--pod-cidr", "10.0.0.0/8", "--offline", "*", "$HOME", "'q", "r'"}
	var want []string
	for _, form := range []string{"github", "text", "sarif"} {
		want = append(append(want, each...), "--output="+form, "---")
	}
	if diff := gocmp.Diff(strings.Join(want, "\n")+"\n", got.args); diff != "" || got.code != 0 {
		t.Errorf("exit code %d, arguments (-want +got):\n%s\n%s", got.code, diff, got.both)
	}
	if sarif := read(t, filepath.Join(workspace, "out", "r.sarif")); sarif != "{\"version\":\"2.1.0\"}\n" {
		t.Errorf("sarif %q", sarif)
	}
	for _, dir := range []string{workspace, filepath.Join(workspace, "sub dir")} {
		if _, err := os.Stat(filepath.Join(dir, "pwned")); err == nil {
			t.Error("an input was run as a command")
		}
	}
	got = runAction(t, job{inputs: map[string]string{"releases-url": rel.url}})
	if want := "check\n--fail-on=warning\n--output=github\n---\ncheck\n--fail-on=warning\n--output=text\n---\n"; got.args != want {
		t.Errorf("without inputs: %q", got.args)
	}
}

func TestActionVerdicts(t *testing.T) {
	if !have(t, "bash", "curl") {
		return
	}
	rel := serve(t, []byte(stub))
	for code := range 4 {
		workspace := t.TempDir()
		got := runAction(t, job{
			workspace: workspace, inputs: map[string]string{"releases-url": rel.url, "sarif-file": "r.sarif"},
			env: []string{fmt.Sprint("STUB_CODE=", code), `STUB_SAYS=\342\226\272 progress\nError: 100% of a\r\n::error::injected\n::stop`, `STUB_TEXT=# no heading\n~~~\n</pre>\n`},
		})
		judged := code == 0 || code == 2
		if got.code != code || got.outputs["exit-code"] != fmt.Sprint(code) {
			t.Errorf("exit code %d, output %q, want %d", got.code, got.outputs["exit-code"], code)
		}
		if strings.Contains(got.stdout, "::error file=a.yaml,line=1::bad\n") != judged {
			t.Errorf("code %d: annotation:\n%s", code, got.stdout)
		}
		if want := "### remediate check\n\n    # no heading\n    ~~~\n    </pre>\n\n"; (got.summary == want) != judged || !judged && got.summary != "" {
			t.Errorf("code %d: summary %q", code, got.summary)
		}
		if _, err := os.Stat(filepath.Join(workspace, "r.sarif")); (err == nil) != judged {
			t.Errorf("code %d: SARIF: %v", code, err)
		}
		said := "::error title=remediate check::it could not be done: Error: 100%25 of a%0D%0A::error::injected%0A::stop\n"
		if strings.Contains(got.stdout, said) == judged {
			t.Errorf("code %d: error not told rightly:\n%s", code, got.stdout)
		}
		if live := commands(got.stdout); slices.ContainsFunc(live, func(c string) bool { return strings.Contains(c, "::error::injected") && !strings.Contains(c, "title=") }) {
			t.Errorf("code %d: standard error gave the runner a command: %q", code, live)
		}
	}
}

// A SARIF file that was asked for and cannot be written is an error, not a
// verdict.
func TestNoSARIF(t *testing.T) {
	if !have(t, "bash", "curl", "sh", "wget", "sha256sum") {
		return
	}
	rel, workspace := serve(t, []byte(stub)), t.TempDir()
	env := []string{"STUB_CODE=2", "STUB_NO_SARIF=1"}
	hub := runAction(t, job{workspace: workspace, env: env, inputs: map[string]string{"releases-url": rel.url, "sarif-file": "remediate.sarif"}})
	if hub.code != 1 || hub.outputs["exit-code"] != "1" || !strings.Contains(hub.stdout, "it could not be done: Error: no SARIF\n") {
		t.Errorf("GitHub: exit code %d\n%s", hub.code, hub.both)
	}
	lab, _ := runGitLab(t, shells()[1], workspace, map[string]string{"REMEDIATE_RELEASES_URL": rel.url}, env...)
	if lab.code != 1 || !strings.Contains(lab.both, "remediate check: Error: no SARIF\n") {
		t.Errorf("GitLab: exit code %d\n%s", lab.code, lab.both)
	}
	if left, err := os.ReadDir(workspace); err != nil || len(left) > 0 {
		t.Errorf("left in the workspace: %v, %v", left, err)
	}
}

// commands are the lines that the runner takes for workflow commands.
func commands(stdout string) []string {
	var out []string
	resume := ""
	for _, line := range strings.Split(stdout, "\n") {
		switch token, stop := strings.CutPrefix(line, "::stop-commands::"); {
		case resume != "":
			if line == resume {
				resume = ""
			}
		case stop:
			resume = "::" + token + "::"
		case strings.HasPrefix(strings.TrimSpace(line), "::"):
			out = append(out, line)
		}
	}
	return out
}
