// Package examples holds the bundled incidents, each a repository with its
// history and a snapshot of its cluster; histories, each a repository in which a
// person gropes for a fix; and the chart that they are rendered with where the
// build put one beside them.
package examples

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/remediate-dev/remediate/gitops/repo"
)

//go:embed all:incidents
var incidents embed.FS

//go:embed all:histories/*/history.yaml all:histories/*/repo
var histories embed.FS

//go:embed all:chart
var charts embed.FS

// Default is the incident that `remediate demo` shows.
const Default = "talos-ipv6-ula"

// Names of the bundled incidents.
func Names() []string { return folders(incidents, "incidents") }

// Histories are the names of the bundled histories.
func Histories() []string { return folders(histories, "histories") }

func folders(root embed.FS, dir string) []string {
	entries, err := root.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// history is the file history.yaml of an incident.
type history struct {
	Author struct{ Name, Email string }
	Steps  []step
}

type step struct {
	Message string
	Date    time.Time
	Edits   []struct{ File, From, To string }
	Write   map[string]string
	Remove  []string
}

// Lay writes an incident below dir: dir/repo, a Git repository with the
// incident's history, and dir/snapshot. dir must be empty or absent.
func Lay(name, dir string) (repoDir, snapshotDir string, err error) {
	root, err := fs.Sub(incidents, path.Join("incidents", name))
	if err != nil {
		return "", "", err
	}
	if _, err := fs.Stat(root, "repo"); err != nil {
		return "", "", fmt.Errorf("no bundled incident %q: there are %s", name, strings.Join(Names(), ", "))
	}
	repoDir, snapshotDir = filepath.Join(dir, "repo"), filepath.Join(dir, "snapshot")
	steps, author, err := replay(root)
	if err != nil {
		return "", "", fmt.Errorf("incident %s: %w", name, err)
	}
	if err := repo.Layout(repoDir, author, steps); err != nil {
		return "", "", fmt.Errorf("lay out incident %s: %w", name, err)
	}
	snap, err := fs.Sub(root, "snapshot")
	if err != nil {
		return "", "", err
	}
	if err := os.CopyFS(snapshotDir, snap); err != nil {
		return "", "", fmt.Errorf("write snapshot of incident %s: %w", name, err)
	}
	return repoDir, snapshotDir, nil
}

// LayHistory makes a Git repository with a history in dir, which must be empty
// or absent.
func LayHistory(name, dir string) error {
	root, err := fs.Sub(histories, path.Join("histories", name))
	if err != nil {
		return err
	}
	if _, err := fs.Stat(root, "repo"); err != nil {
		return fmt.Errorf("no bundled history %q: there are %s", name, strings.Join(Histories(), ", "))
	}
	steps, author, err := replay(root)
	if err != nil {
		return fmt.Errorf("history %s: %w", name, err)
	}
	if err := repo.Layout(dir, author, steps); err != nil {
		return fmt.Errorf("lay out history %s: %w", name, err)
	}
	return nil
}

// replay turns history.yaml into the content of each commit. An incident
// without one is a single commit.
func replay(root fs.FS) ([]repo.Step, repo.Author, error) {
	tree, err := readTree(root, "repo")
	if err != nil {
		return nil, repo.Author{}, err
	}
	var h history
	raw, err := fs.ReadFile(root, "history.yaml")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		h.Author.Name, h.Author.Email = "Cluster Admin", "admin@example.com"
		h.Steps = []step{{Message: "Cluster as it is", Date: time.Date(2026, 2, 12, 9, 0, 0, 0, time.UTC)}}
	case err != nil:
		return nil, repo.Author{}, err
	default:
		if err := yaml.UnmarshalStrict(raw, &h); err != nil {
			return nil, repo.Author{}, fmt.Errorf("history.yaml: %w", err)
		}
	}
	var out []repo.Step
	for i, s := range h.Steps {
		if err := s.apply(tree); err != nil {
			return nil, repo.Author{}, fmt.Errorf("history.yaml step %d: %w", i+1, err)
		}
		files := map[string][]byte{}
		for name, content := range tree {
			files[name] = []byte(content)
		}
		out = append(out, repo.Step{Message: s.Message, Date: s.Date, Files: files})
	}
	return out, repo.Author{Name: h.Author.Name, Email: h.Author.Email}, nil
}

func (s step) apply(tree map[string]string) error {
	for _, e := range s.Edits {
		if n := strings.Count(tree[e.File], e.From); n != 1 {
			return fmt.Errorf("%q occurs %d times in %s, not once", e.From, n, e.File)
		}
		tree[e.File] = strings.Replace(tree[e.File], e.From, e.To, 1)
	}
	for name, content := range s.Write {
		tree[name] = content
	}
	for _, name := range s.Remove {
		delete(tree, name)
	}
	return nil
}

func readTree(root fs.FS, dir string) (map[string]string, error) {
	out := map[string]string{}
	err := fs.WalkDir(root, dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(root, p)
		out[strings.TrimPrefix(p, dir+"/")] = string(b)
		return err
	})
	return out, err
}

// Chart writes the bundled chart into dir and returns its path; ok is false
// when this build carries none.
func Chart(dir string) (file string, ok bool, err error) {
	entries, err := charts.ReadDir("chart")
	if err != nil {
		return "", false, err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".tgz") {
			continue
		}
		b, err := charts.ReadFile("chart/" + e.Name())
		if err != nil {
			return "", false, err
		}
		file = filepath.Join(dir, e.Name())
		if err := os.WriteFile(file, b, 0o600); err != nil {
			return "", false, fmt.Errorf("write the bundled chart: %w", err)
		}
		return file, true, nil
	}
	return "", false, nil
}
