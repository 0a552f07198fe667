package source

import (
	"encoding/hex"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// anyName is kustomize's memory file system for names that it refuses, such as
// those with a space: they lie there under another name (kyaml 0.21,
// filesys/fsnode.go:isLegalFileNameForCreation). Flux builds on disk, where
// every name will do.
type anyName struct{ filesys.FileSystem }

func newFS() filesys.FileSystem { return anyName{filesys.MakeFsInMemory()} }

const hiddenPrefix = "remediate-name-"

var plainName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

func hideName(p string) string {
	return eachName(p, func(s string) string {
		if s == "" || plainName.MatchString(s) {
			return s
		}
		return hiddenPrefix + hex.EncodeToString([]byte(s))
	})
}

func showName(p string) string {
	return eachName(p, func(s string) string {
		b, err := hex.DecodeString(strings.TrimPrefix(s, hiddenPrefix))
		if err != nil || !strings.HasPrefix(s, hiddenPrefix) {
			return s
		}
		return string(b)
	})
}

func eachName(p string, change func(string) string) string {
	if !strings.Contains(p, "/") {
		return change(p)
	}
	names := strings.Split(p, "/")
	for i := range names {
		names[i] = change(names[i])
	}
	return strings.Join(names, "/")
}

func (fs anyName) Create(p string) (filesys.File, error) { return fs.FileSystem.Create(hideName(p)) }
func (fs anyName) Mkdir(p string) error                  { return fs.FileSystem.Mkdir(hideName(p)) }
func (fs anyName) MkdirAll(p string) error               { return fs.FileSystem.MkdirAll(hideName(p)) }
func (fs anyName) RemoveAll(p string) error              { return fs.FileSystem.RemoveAll(hideName(p)) }
func (fs anyName) Open(p string) (filesys.File, error)   { return fs.FileSystem.Open(hideName(p)) }
func (fs anyName) IsDir(p string) bool                   { return fs.FileSystem.IsDir(hideName(p)) }
func (fs anyName) Exists(p string) bool                  { return fs.FileSystem.Exists(hideName(p)) }
func (fs anyName) ReadFile(p string) ([]byte, error)     { return fs.FileSystem.ReadFile(hideName(p)) }
func (fs anyName) WriteFile(p string, b []byte) error    { return fs.FileSystem.WriteFile(hideName(p), b) }

func (fs anyName) CleanedAbs(p string) (filesys.ConfirmedDir, string, error) {
	dir, file, err := fs.FileSystem.CleanedAbs(hideName(p))
	return filesys.ConfirmedDir(showName(string(dir))), showName(file), err
}

func (fs anyName) ReadDir(p string) ([]string, error) {
	names, err := fs.FileSystem.ReadDir(hideName(p))
	return shown(names), err
}

func (fs anyName) Glob(pattern string) ([]string, error) {
	names, err := fs.FileSystem.Glob(pattern)
	return shown(names), err
}

func (fs anyName) Walk(p string, walk filepath.WalkFunc) error {
	return fs.FileSystem.Walk(hideName(p), walk)
}

func shown(names []string) []string {
	for i := range names {
		names[i] = showName(names[i])
	}
	return names
}
