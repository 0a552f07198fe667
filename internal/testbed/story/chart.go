//go:build linux

package story

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// chartServer is a Helm repository, over plain HTTP, with the one version of a
// chart's folder.
func chartServer(t testing.TB, dir, version string) *httptest.Server {
	t.Helper()
	data, err := pack(dir)
	if err != nil {
		t.Fatalf("pack the chart: %v", err)
	}
	sum := sha256.Sum256(data)
	file := "cilium-" + version + ".tgz"
	index := fmt.Sprintf("apiVersion: v1\nentries:\n  cilium:\n  - {apiVersion: v2, name: cilium, version: %q, urls: [%q], digest: %x}\n", version, file, sum)
	mux := http.NewServeMux()
	mux.HandleFunc("/index.yaml", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, index) // the reader may have gone
	})
	mux.HandleFunc("/"+file, func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, file, time.Time{}, bytes.NewReader(data))
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

// pack makes the archive of a chart, the same of the same files.
func pack(dir string) ([]byte, error) {
	var out bytes.Buffer
	gz := gzip.NewWriter(&out)
	archive := tar.NewWriter(gz)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		header := &tar.Header{Name: "cilium/" + filepath.ToSlash(name), Mode: 0o644, Size: int64(len(text))}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		_, err = archive.Write(text)
		return err
	})
	if err == nil {
		err = archive.Close()
	}
	if err == nil {
		err = gz.Close()
	}
	return out.Bytes(), err
}

// chartVersion reads Chart.yaml.
func chartVersion(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "Chart.yaml"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "version:"); ok {
			return strings.Trim(strings.TrimSpace(v), `"'`), nil
		}
	}
	return "", fmt.Errorf("%s names no version", filepath.Join(dir, "Chart.yaml"))
}
