package repo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"
)

var (
	// ErrNotRepository: no .git from the directory upward.
	ErrNotRepository = errors.New("not inside a Git repository: run it inside a Git checkout or give --repo")
	// ErrBare: a repository without a working tree.
	ErrBare = errors.New("a bare repository has no files to change: clone it, and run there or give --repo")
	// ErrUnsupported: a repository format that cannot be read.
	ErrUnsupported = errors.New("unsupported repository format: clone it anew with git's defaults")
)

const gitDirName = ".git"

// Repo is a checkout. It is not safe for concurrent use.
type Repo struct {
	root    string
	files   *dotgit.RepositoryFilesystem
	store   *filesystem.Storage
	shallow map[plumbing.Hash]bool
}

// Open finds the repository that dir is in.
func Open(dir string) (*Repo, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open repository %s: %w", dir, err)
	}
	if info, err := os.Stat(abs); err != nil {
		return nil, fmt.Errorf("open repository: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("open repository: %s is not a directory", dir)
	}
	root, err := findRoot(abs)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	r, err := open(root)
	if err != nil {
		return nil, fmt.Errorf("open repository %s: %w", root, err)
	}
	return r, nil
}

func findRoot(dir string) (string, error) {
	for {
		if _, err := os.Lstat(filepath.Join(dir, gitDirName)); err == nil {
			return dir, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if looksBare(dir) {
			return "", ErrBare
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", ErrNotRepository
		}
		dir = parent
	}
}

// looksBare reports the three entries that git itself looks for.
func looksBare(dir string) bool {
	for _, name := range []string{"HEAD", "objects", "refs"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.IsDir() != (name != "HEAD") {
			return false
		}
	}
	return true
}

func open(root string) (*Repo, error) {
	dir, common, err := gitDirs(root)
	if err != nil {
		return nil, err
	}
	files := dotgit.NewRepositoryFilesystem(osfs.New(dir), nil)
	if common != "" {
		files = dotgit.NewRepositoryFilesystem(osfs.New(dir), osfs.New(common))
	}
	store := filesystem.NewStorageWithOptions(files, cache.NewObjectLRUDefault(), filesystem.Options{AlternatesFS: alternates()})
	cfg, err := store.Config()
	if err != nil {
		return nil, fmt.Errorf("read its configuration: %w", err)
	}
	if err := supported(cfg); err != nil {
		return nil, err
	}
	if cfg.Core.IsBare && common == "" {
		return nil, ErrBare
	}
	if _, err := store.Reference(plumbing.HEAD); err != nil {
		return nil, fmt.Errorf("read its HEAD: %w", err)
	}
	r := &Repo{root: root, files: files, store: store, shallow: map[plumbing.Hash]bool{}}
	hashes, err := store.Shallow()
	if err != nil {
		return nil, fmt.Errorf("read where the shallow clone ends: %w", err)
	}
	for _, h := range hashes {
		r.shallow[h] = true
	}
	return r, nil
}

// alternates is where the object directories that a clone borrows from stand.
func alternates() billy.Filesystem { return osfs.New(string(filepath.Separator)) }

// maxPointer bounds the .git and commondir files, which hold one path.
const maxPointer = 64 << 10

// gitDirs gives the directory behind root/.git, and the one it shares with
// other worktrees, "" if none.
func gitDirs(root string) (dir, common string, err error) {
	dir = filepath.Join(root, gitDirName)
	info, err := os.Stat(dir)
	if err != nil {
		return "", "", err
	}
	if !info.IsDir() {
		if dir, err = pointer(dir, root, "gitdir: "); err != nil {
			return "", "", err
		}
		if _, err := os.Stat(dir); err != nil {
			return "", "", fmt.Errorf("its .git file points to %s, which is not there: run git worktree repair or git submodule update --init", dir)
		}
	}
	common, err = pointer(filepath.Join(dir, "commondir"), dir, "")
	if errors.Is(err, fs.ErrNotExist) {
		return dir, "", nil
	}
	return dir, common, err
}

// pointer reads a file that holds a path, relative to base.
func pointer(file, base, prefix string) (string, error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxPointer {
		return "", fmt.Errorf("%s does not hold a path", file)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(content), "\n")
	target, ok := strings.CutPrefix(strings.TrimSpace(line), prefix)
	if !ok || target == "" {
		return "", fmt.Errorf("%s does not hold a path", file)
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(base, target)
	}
	return target, nil
}

// readable are the extensions that make no difference to reading: which
// objects are fetched when, and where configuration stands.
// (gitrepository-layout, "extensions")
var readable = map[string]bool{
	"noop": true, "noop-v1": true, "partialclone": true, "preciousobjects": true,
	"worktreeconfig": true, "relativeworktrees": true,
}

func supported(cfg *config.Config) error {
	if v := cfg.Core.RepositoryFormatVersion; v != "" && v != "0" && v != "1" {
		return fmt.Errorf("%w (repositoryformatversion %s)", ErrUnsupported, v)
	}
	for _, o := range cfg.Raw.Section("extensions").Options {
		name, value := strings.ToLower(o.Key), strings.ToLower(o.Value)
		if !readable[name] && !(name == "objectformat" && value == "sha1") && !(name == "refstorage" && value == "files") {
			return fmt.Errorf("%w (extension %s = %s)", ErrUnsupported, name, value)
		}
	}
	return nil
}

// Root is the absolute path of the working tree.
func (r *Repo) Root() string { return r.root }

// Shallow reports that the history was cut when cloning.
func (r *Repo) Shallow() bool { return len(r.shallow) > 0 }

// Head is the hash of the commit checked out, "" when there is none yet.
func (r *Repo) Head() (string, error) {
	ref, err := storer.ResolveReference(r.store, plumbing.HEAD)
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read HEAD of %s: %w", r.root, err)
	}
	return ref.Hash().String(), nil
}

// headTree is the tree of the commit checked out, nil when there is none yet.
func (r *Repo) headTree() (*object.Tree, error) {
	head, err := r.Head()
	if err != nil || head == "" {
		return nil, err
	}
	commit, err := object.GetCommit(r.store, plumbing.NewHash(head))
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", head, err)
	}
	tree, err := commit.Tree()
	if err != nil {
		return nil, fmt.Errorf("read the tree of commit %s: %w", head, err)
	}
	return tree, nil
}
