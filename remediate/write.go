package remediate

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/remediate-dev/remediate/gitops/repo"
)

// writeFiles replaces files of the working tree, each through a temporary file
// and a rename, after all checks have passed. A file with uncommitted changes
// is left alone unless force is set.
func writeFiles(root string, rp *repo.Repo, files map[string][]byte, force bool) ([]string, error) {
	names := sortedFiles(files)
	for _, f := range names {
		dirty, err := rp.Dirty(f)
		if err != nil {
			return nil, err
		}
		if dirty && !force {
			return nil, withHint(fmt.Errorf("%s %w", f, errDirty), "commit or stash them first, or write all the same with --force")
		}
	}
	dir, err := os.OpenRoot(root)
	if err != nil {
		return nil, fmt.Errorf("open the checkout: %w", err)
	}
	defer dir.Close()
	for _, f := range names {
		if err := replace(dir, filepath.FromSlash(f), files[f]); err != nil {
			return nil, fmt.Errorf("write %s: %w", f, err)
		}
	}
	return names, nil
}

// replace writes through os.Root, so that no symlink leads out of the checkout.
func replace(dir *os.Root, name string, content []byte) error {
	info, err := dir.Lstat(name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("it is no regular file")
	}
	tmp := name + ".remediate-tmp"
	if err := dir.WriteFile(tmp, content, info.Mode().Perm()); err != nil {
		return err
	}
	if err := dir.Rename(tmp, name); err != nil {
		_ = dir.Remove(tmp)
		return err
	}
	return nil
}
