package edit_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/remediate-dev/remediate/gitops/edit"
)

func TestApplyEnv(t *testing.T) {
	for _, c := range []struct{ name, key, value, in, want string }{
		{"change", "CIDR", "fd00::/38", "# ranges\nCIDR=fd00::/48\nB=1\n", "# ranges\nCIDR=fd00::/38\nB=1\n"},
		{"the same", "A", "1", "A=1\n", "A=1\n"},
		{"no newline at the end", "A", "2", "A=1", "A=2"},
		{"CRLF", "A", "2", "A=1\r\nB=1\r\n", "A=2\r\nB=1\r\n"},
		{"CRLF, new", "C", "2", "A=1\r\nB=1\r\n", "A=1\r\nB=1\r\nC=2\r\n"},
		{"BOM", "A", "2", "\xef\xbb\xbfA=1\n", "\xef\xbb\xbfA=2\n"},
		{"blanks before the key", "A", "2", "  A=1\n", "  A=2\n"},
		{"blanks belong to the value", "A", "1", "A= 1 \n", "A=1\n"},
		{"what looks like a comment belongs to the value", "A", "2", "A=1 # one\n", "A=2\n"},
		{"quotes belong to the value", "A", "2", "A=\"1\"\n", "A=2\n"},
		{"equal signs in the value", "A", "x=y", "A=b=c\n", "A=x=y\n"},
		{"no equal sign", "A", "2", "A\nB=1\n", "A=2\nB=1\n"},
		{"to nothing", "A", "", "A=1\n", "A=\n"},
		{"nothing stays", "A", "", "A\n", "A\n"},
		{"new", "B", "1", "A=1\n", "A=1\nB=1\n"},
		{"new, no newline at the end", "B", "1", "A=1", "A=1\nB=1"},
		{"new behind half a line break", "B", "1", "A=1\r", "A=1\r\nB=1"},
		{"new in an empty file", "B", "1", "", "B=1\n"},
		{"new beside what it belongs to", "CLUSTER_POD_IPV6_CIDR", "x", "CLUSTER_POD_IPV4_CIDR=y\nZ=1\n", "CLUSTER_POD_IPV4_CIDR=y\nCLUSTER_POD_IPV6_CIDR=x\nZ=1\n"},
		{"commented out", "A", "1", "#A=0\nB=1\n", "#A=0\nB=1\nA=1\n"},
		{"dots and dashes in a name", "a.b-c", "2", "a.b-c=1\n", "a.b-c=2\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := edit.ApplyEnv([]byte(c.in), c.key, c.value)
			if err != nil || string(got) != c.want {
				t.Errorf("%v\n got %q\nwant %q", err, got, c.want)
			}
			if again, err := edit.ApplyEnv(got, c.key, c.value); err != nil || string(again) != string(got) {
				t.Errorf("a second time: %v\n%q", err, again)
			}
		})
	}
}

func TestApplyEnvRefusals(t *testing.T) {
	for _, c := range []struct {
		name, key, value, in string
		want                 error
		line                 int
	}{
		{"a key twice", "A", "2", "A=1\nB=1\nA=3\n", edit.ErrDuplicateKey, 3},
		{"another key twice", "A", "2", "A=1\nB=1\nB=1\n", edit.ErrDuplicateKey, 3},
		{"export", "A", "2", "# env\nexport A=1\n", edit.ErrNotEnv, 2},
		{"blank before the equal sign", "A", "2", "A =1\n", edit.ErrNotEnv, 1},
		{"YAML", "A", "2", "A: 1\n", edit.ErrNotEnv, 1},
		{"no key", "A", "2", "=1\n", edit.ErrNotEnv, 1},
		{"not UTF-8", "A", "2", "B=\xff\n", edit.ErrNotEnv, 1},
		{"several lines", "A", "2\n3", "A=1\n", edit.ErrValue, 0},
		{"a carriage return", "A", "2\r", "A=1\n", edit.ErrValue, 0},
		{"value not UTF-8", "A", "\xff", "A=1\n", edit.ErrValue, 0},
		{"a key that is none", "A B", "2", "A=1\n", edit.ErrPath, 0},
		{"encrypted", "A", "2", "A=ENC[AES256_GCM,data:x]\n", edit.ErrEncrypted, 1},
		{"encrypted elsewhere", "A", "2", "A=1\nsops_mac=x\n", edit.ErrEncrypted, 2},
		{"a template", "A", "2", "B=1\nA={{ cidr }}\n", edit.ErrTemplate, 2},
		{"a long line", "A", "2", "A=1\nB=" + strings.Repeat("x", 1<<16) + "\n", edit.ErrTooLarge, 2},
		{"a long value", "A", strings.Repeat("x", 1<<16), "A=1\n", edit.ErrTooLarge, 0},
		{"a large file", "A", "2", strings.Repeat("#\n", edit.MaxBytes/2+1), edit.ErrTooLarge, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := edit.ApplyEnv([]byte(c.in), c.key, c.value)
			var refusal *edit.Error
			if out != nil || !errors.Is(err, c.want) || !errors.As(err, &refusal) || refusal.Line != c.line {
				t.Errorf("%q, error %v; want %v on line %d", out, err, c.want, c.line)
			}
			if strings.Contains(fmt.Sprint(err), "ENC[") {
				t.Errorf("the error tells a value: %v", err)
			}
		})
	}
}

// generated is what kustomize makes of an env file.
func generated(t interface{ Fatalf(string, ...any) }, env []byte) map[string]string {
	fs := filesys.MakeFsInMemory()
	write := func(name, text string) {
		if err := fs.WriteFile(name, []byte(text)); err != nil {
			t.Fatalf("%v", err)
		}
	}
	write("kustomization.yaml", "configMapGenerator: [{name: x, envs: [x.env]}]\n")
	write("x.env", string(env))
	options := krusty.MakeDefaultOptions()
	options.PluginConfig = types.DisabledPluginConfig()
	built, err := krusty.MakeKustomizer(options).Run(fs, ".")
	if err != nil {
		t.Fatalf("kustomize: %v\n%s", err, env)
	}
	return built.Resources()[0].GetDataMap()
}

// kustomize reads the value that was set, and all others as before.
func TestApplyEnvAsKustomizeReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := slices.Clone([]string{"A", "CLUSTER_CIDR", "CLUSTER_CIDR_V6", "b.c", "_d"})
		eol := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "eol")
		var lines []string
		for _, k := range keys[:rapid.IntRange(1, len(keys)-1).Draw(t, "keys")] {
			lines = append(lines, rapid.SampledFrom([]string{
				k + "=10.0.0.0/8", k + "=\"q\"", k + "= a b ", k, k + "=é # x", "  " + k + "=x=y", "# " + k + "=1", "",
			}).Draw(t, "line"))
		}
		src := strings.Join(lines, eol)
		if rapid.Bool().Draw(t, "newline") {
			src += eol
		}
		before := generated(t, []byte(src))
		key := rapid.SampledFrom(keys).Draw(t, "key")
		value := rapid.SampledFrom([]string{"", "fd00:101::/38", "a b", "x # y", "\"q\"", "é"}).Draw(t, "value")
		out, err := edit.ApplyEnv([]byte(src), key, value)
		if err != nil {
			t.Fatalf("%v\n%q", err, src)
		}
		if before == nil {
			before = map[string]string{}
		}
		before[key] = value
		if after := generated(t, out); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Fatalf("got %q, want %q\n%q\n%q", after, before, src, out)
		}
	})
}

func TestPositionEnv(t *testing.T) {
	const src = "\xef\xbb\xbf# c\r\n\r\nA=1\r\n B=2"
	for key, want := range map[string]int{"A": 3, "B": 4, "C": 0, "": 0} {
		line, found, err := edit.PositionEnv([]byte(src), key)
		if err != nil || line != want || found != (want > 0) {
			t.Errorf("%q: line %d, %v, %v; want %d", key, line, found, err, want)
		}
	}
	if _, _, err := edit.PositionEnv([]byte("export A=1\n"), "A"); !errors.Is(err, edit.ErrNotEnv) {
		t.Errorf("error %v", err)
	}
}
