package cifiles

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pipeline is the part of GitLab's syntax that the template uses.
// (docs.gitlab.com, "CI/CD YAML syntax reference")
type pipeline struct {
	Hidden gitlabJob `json:".remediate-check"`
	Job    struct {
		Extends string              `json:"extends"`
		Rules   []map[string]string `json:"rules"`
	} `json:"remediate-check"`
}

type gitlabJob struct {
	Image     string            `json:"image"`
	Variables map[string]string `json:"variables"`
	Script    []string          `json:"script"`
	Artifacts struct {
		When     string   `json:"when"`
		ExposeAs string   `json:"expose_as"`
		Paths    []string `json:"paths"`
	} `json:"artifacts"`
}

func shells() [][]string {
	return [][]string{{"bash", "--noprofile", "--norc", "-e"}, {"sh", "-e"}}
}

// runGitLab runs the lines of the script in one shell, as a GitLab runner does.
func runGitLab(t *testing.T, shell []string, dir string, variables map[string]string, env ...string) (result, string) {
	t.Helper()
	var p pipeline
	parse(t, "config/ci/gitlab.yml", &p)
	for name, value := range p.Hidden.Variables {
		env = append(env, name+"="+value)
	}
	for name, value := range variables {
		if _, ok := p.Hidden.Variables[name]; !ok {
			t.Fatalf("no variable %q", name)
		}
		env = append(env, name+"="+value)
	}
	args := filepath.Join(t.TempDir(), "args")
	got := script(t, shell, dir, strings.Join(p.Hidden.Script, "\n"), append(env, "STUB_ARGS="+args))
	return got, readIf(args)
}

func TestGitLabForm(t *testing.T) {
	var p pipeline
	parse(t, "config/ci/gitlab.yml", &p)
	if p.Hidden.Variables["GIT_DEPTH"] != "0" {
		t.Error("the clone is shallow: the merge base will not be there")
	}
	if p.Job.Extends != ".remediate-check" || !cmp.Equal(p.Job.Rules, []map[string]string{{"if": `$CI_PIPELINE_SOURCE == "merge_request_event"`}}) {
		t.Errorf("job %+v", p.Job)
	}
	if p.Hidden.Artifacts.When != "always" || !slices.Contains(p.Hidden.Artifacts.Paths, "remediate.sarif") {
		t.Errorf("artifacts %+v", p.Hidden.Artifacts)
	}
}

func TestGitLab(t *testing.T) {
	if !have(t, "bash", "sh", "wget", "sha256sum") {
		return
	}
	sum := strings.Repeat("0", 64)
	for _, shell := range shells() {
		for _, c := range []struct {
			name, version, sums, says, folder string
		}{
			{"latest", "latest", "", "", "/latest/download"},
			{"a release", "v" + number, "", "", "/download/v" + number},
			{"without v", number, "", "", "/download/v" + number},
			{"no such release", "9.9.9", "", "no release at", ""},
			{"no version", "main", "", "REMEDIATE_VERSION is no release", ""},
			{"a command", "$(touch pwned)", "", "REMEDIATE_VERSION is no release", ""},
			{"a wrong checksum", "latest", sum + "  " + archiveName(number) + "\n", "nothing was run", ""},
			{"no archive", "latest", sum + "  other.tar.gz\n", "names no archive", ""},
			{"a path for a name", "latest", sum + "  ../" + archiveName(number) + "\n", "names no archive", ""},
		} {
			t.Run(shell[0]+"/"+c.name, func(t *testing.T) {
				rel := serve(t, []byte(stub))
				if c.sums != "" {
					rel.sums(c.sums)
				}
				dir := t.TempDir()
				got, args := runGitLab(t, shell, dir, map[string]string{"REMEDIATE_VERSION": c.version, "REMEDIATE_RELEASES_URL": rel.url})
				if c.says != "" {
					if left, _ := os.ReadDir(dir); got.code != 1 || !strings.Contains(got.both, c.says) || args != "" || len(left) > 0 {
						t.Errorf("exit code %d, args %q, left %v\n%s", got.code, args, left, got.both)
					}
					return
				}
				if want := []string{c.folder + "/checksums.txt", c.folder + "/" + archiveName(number)}; got.code != 0 || !cmp.Equal(want, rel.asked) {
					t.Errorf("exit code %d, asked for %q\n%s", got.code, rel.asked, got.both)
				}
				if sarif := readIf(filepath.Join(dir, "remediate.sarif")); got.stdout != "verdict\n" || sarif != "{\"version\":\"2.1.0\"}\n" {
					t.Errorf("stdout %q, SARIF %q", got.stdout, sarif)
				}
			})
		}
	}
}

func TestGitLabVerdictsAndArguments(t *testing.T) {
	if !have(t, "bash", "sh", "wget", "sha256sum") {
		return
	}
	rel := serve(t, []byte(stub))
	for _, shell := range shells() {
		for code := range 4 {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "a-file"), "")
			got, args := runGitLab(t, shell, dir, map[string]string{
				"REMEDIATE_RELEASES_URL": rel.url, "REMEDIATE_FAIL_ON": "critical", "REMEDIATE_ARGS": "--pod-cidr  10.0.0.0/8 * $(touch${IFS}pwned)",
			}, fmt.Sprint("STUB_CODE=", code))
			want := "check\n--fail-on=critical\n--pod-cidr\n10.0.0.0/8\n*\n$(touch${IFS}pwned)\n---\n"
			if code == 0 || code == 2 {
				want += strings.Replace(want, "---", "--output=sarif\n---", 1)
			}
			if got.code != code || args != want {
				t.Errorf("%s: exit code %d, want %d\n%s\n%s", shell[0], got.code, code, cmp.Diff(want, args), got.both)
			}
			if _, err := os.Stat(filepath.Join(dir, "pwned")); err == nil {
				t.Error("an argument was run as a command")
			}
		}
	}
}
