package observe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// Open reads a snapshot folder or a sysdump archive, whichever path is.
func Open(ctx context.Context, path string) (*snapshot.Snapshot, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	if info.IsDir() {
		return Dir(ctx, path)
	}
	return Sysdump(ctx, path)
}

// Dir reads a folder of Kubernetes YAML and JSON: single objects, lists and
// several documents per file, in any files and subfolders, as kubectl get -o
// yaml prints them. Kinds that a snapshot does not use are passed over. A kind
// counts as read when one object of it, or a typed list of it, is there.
//
// An error names file and line: text that cannot be parsed, a value that cannot
// be right, an object that is too long, a symbolic link out of the folder.
func Dir(ctx context.Context, path string) (*snapshot.Snapshot, error) {
	return readDir(ctx, path, defaultLimits())
}

// FS reads a folder that is not on disk, such as one embedded in a binary, as
// [Dir] does. Origin names it in the snapshot.
func FS(ctx context.Context, fsys fs.FS, origin string) (*snapshot.Snapshot, error) {
	return readFS(ctx, fsys, origin, defaultLimits())
}

func readDir(ctx context.Context, path string, lim limits) (*snapshot.Snapshot, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	defer root.Close()
	return readFS(ctx, root.FS(), path, lim)
}

func readFS(ctx context.Context, fsys fs.FS, origin string, lim limits) (*snapshot.Snapshot, error) {
	r := &reader{ctx: ctx, lim: lim, builder: newBuilder(origin)}
	files := 0
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if files++; files > lim.files {
			return fmt.Errorf("more than %d files", lim.files)
		}
		return r.entry(fsys, name, entry)
	})
	if err != nil {
		return nil, fmt.Errorf("read snapshot %s: %w", origin, err)
	}
	return r.builder.finish(), nil
}

func (r *reader) entry(fsys fs.FS, name string, entry fs.DirEntry) error {
	switch {
	case entry.IsDir() && entry.Name() == ".git":
		return fs.SkipDir
	case entry.Type()&fs.ModeSymlink != 0:
		return checkLink(fsys, name)
	case !entry.Type().IsRegular():
		return nil
	}
	open := func() (io.ReadCloser, error) { return fsys.Open(name) }
	if !isObjectFile(name) {
		if ok, err := looksLikeObjects(open); err != nil || !ok {
			return inFile(name, err)
		}
	}
	return r.file(name, open)
}

// checkLink passes over a link within the folder, because what it leads to is
// read where it lies, and refuses one that leads out. A link to nowhere is
// passed over too.
func checkLink(fsys fs.FS, name string) error {
	_, err := fs.Stat(fsys, name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("%s: a symbolic link that leads out of the folder is not followed: remove it, or put the file itself there", name)
}
