package observe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// Written says what [Write] wrote: the files, in order, the number of objects,
// and what could not be read.
type Written struct {
	Files      []string
	Objects    int
	Unreadable []string
}

// Write reads a cluster as [Cluster] does and writes the facts as a snapshot
// folder for [Dir]: one file of plain Kubernetes YAML per kind, objects sorted
// by name and reduced to the fields that a snapshot reads. A kind without
// objects is written as an empty list, which says that there are none.
//
// There is never a Secret in it, no environment of a container, no annotation
// but the configuration's checksum; what looks like a credential in texts and
// in cilium-config is replaced by [Removed].
//
// The folder must not exist or be empty. It appears as a whole, or not at all;
// its mode is 0700, its files' 0600.
func Write(ctx context.Context, cfg *rest.Config, dir string, opts ClusterOptions) (Written, error) {
	if err := checkTarget(dir); err != nil {
		return Written{}, err
	}
	parent := filepath.Dir(filepath.Clean(dir))
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return Written{}, fmt.Errorf("write snapshot: %w", err)
	}
	tmp, err := os.MkdirTemp(parent, ".snapshot-")
	if err != nil {
		return Written{}, fmt.Errorf("write snapshot: %w", err)
	}
	defer os.RemoveAll(tmp)
	w := folderWriter{dir: tmp}
	if err := readCluster(ctx, cfg, opts, w.kind); err != nil {
		return Written{}, err
	}
	if err := replaceEmpty(tmp, dir); err != nil {
		return Written{}, fmt.Errorf("write snapshot: %w", err)
	}
	return w.done, nil
}

// checkTarget refuses to write where something is.
func checkTarget(dir string) error {
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("write snapshot: %s is not a folder: choose a new name", dir)
	}
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	defer f.Close()
	if _, err := f.Readdirnames(1); !errors.Is(err, io.EOF) {
		return fmt.Errorf("write snapshot: %s is not empty: choose a new folder, or empty it", dir)
	}
	return nil
}

// replaceEmpty puts tmp in the place of dir. An empty dir gives way; should it
// have been filled meanwhile, its removal fails.
func replaceEmpty(tmp, dir string) error {
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(tmp, dir)
}

type folderWriter struct {
	dir  string
	done Written
}

func (w *folderWriter) kind(k kindItems) error {
	if k.unread != "" {
		w.done.Unreadable = append(w.done.Unreadable, k.unread)
		return nil
	}
	w.done.Unreadable = append(w.done.Unreadable, k.wrong...)
	name := strings.ToLower(k.kind) + ".yaml"
	f, err := os.OpenFile(filepath.Join(w.dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	err = writeKind(f, k)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write snapshot: %s: %w", name, err)
	}
	w.done.Files = append(w.done.Files, name)
	w.done.Objects += len(k.items)
	return nil
}

func writeKind(f io.Writer, k kindItems) error {
	out := bufio.NewWriter(f)
	fmt.Fprintf(out, "apiVersion: %s\nkind: %sList\n", k.apiVersion, k.kind)
	if len(k.items) == 0 {
		fmt.Fprintln(out, "items: []")
		return out.Flush()
	}
	fmt.Fprintln(out, "items:")
	for _, o := range k.items {
		text, err := yaml.Marshal(o)
		if err != nil {
			return fmt.Errorf("%s: %w", o.head().source(), err)
		}
		writeItem(out, string(text))
	}
	return out.Flush()
}

// writeItem indents an object's YAML as one item of a list.
func writeItem(out *bufio.Writer, text string) {
	lead := "- "
	for line := range strings.Lines(text) {
		if line != "\n" {
			out.WriteString(lead)
		}
		out.WriteString(line)
		lead = "  "
	}
}
