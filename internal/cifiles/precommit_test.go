package cifiles

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// hook has the fields of a hook definition that the file uses.
// (pre-commit.com, "Creating new hooks")
type hook struct {
	ID            string `json:"id"`
	Name          string `json:"name"`
	Description   string `json:"description"`
	Entry         string `json:"entry"`
	Language      string `json:"language"`
	Files         string `json:"files"`
	PassFilenames bool   `json:"pass_filenames"`
	RequireSerial bool   `json:"require_serial"`
	Minimum       string `json:"minimum_pre_commit_version"`
}

func theHook(t *testing.T) hook {
	t.Helper()
	var hooks []hook
	parse(t, ".pre-commit-hooks.yaml", &hooks)
	if len(hooks) != 1 {
		t.Fatalf("%d hooks", len(hooks))
	}
	return hooks[0]
}

func TestPreCommitForm(t *testing.T) {
	h := theHook(t)
	if h.ID != "remediate-check" || h.Name == "" || h.Language != "golang" || h.PassFilenames || !h.RequireSerial {
		t.Errorf("%+v", h)
	}
	words := strings.Fields(h.Entry)
	if info, err := os.Stat(filepath.Join(root(t), "cmd", words[0])); err != nil || !info.IsDir() {
		t.Errorf("pre-commit installs the programs of cmd/, and %q is none: %v", words[0], err)
	}
	if got := strings.Join(words[1:], " "); got != "check --base HEAD" {
		t.Errorf("arguments %q: what is about to be committed must be compared with HEAD", got)
	}
	files := regexp.MustCompile(h.Files)
	for name, want := range map[string]bool{
		"apps/cilium/values.yaml": true, "a.yml": true, "cluster.env": true, ".env": true, "a/.env": true,
		"README.md": false, "a.yaml.md": false, "main.go": false, "environment": false,
	} {
		if files.MatchString(name) != want {
			t.Errorf("%s: run %v, want %v", name, !want, want)
		}
	}
}
