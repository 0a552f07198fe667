package render

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/gitops/source"
)

// archive packs testdata/small as a chart archive of the given version.
func archive(t testing.TB, version string) []byte {
	t.Helper()
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	tw := tar.NewWriter(zw)
	err := filepath.WalkDir("testdata/small", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		data = bytes.Replace(data, []byte("version: 1.2.3"), []byte("version: "+version), 1)
		name := "small/" + filepath.ToSlash(strings.TrimPrefix(p, "testdata/small/"))
		if err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data))}); err != nil {
			return err
		}
		_, err = tw.Write(data)
		return err
	})
	if err := errors.Join(err, tw.Close(), zw.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// helmRepository serves an index with three versions.
func helmRepository(t testing.TB) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	index := "entries:\n  small:\n"
	for _, v := range []string{"1.2.3", "1.2.10", "2.0.0-rc1"} {
		data := archive(t, v)
		index += fmt.Sprintf("  - {version: %s, urls: [small-%s.tgz], digest: %s}\n", v, v, strings.TrimPrefix(digest(data), "sha256:"))
		mux.HandleFunc("/charts/small-"+v+".tgz", func(w http.ResponseWriter, _ *http.Request) { w.Write(data) })
	}
	index += "  bad:\n  - {version: 1.0.0, urls: [small-1.2.3.tgz], digest: 00}\n  other:\n  - {version: 1.0.0, urls: [small-1.2.3.tgz]}\n  none:\n  - {version: 1.0.0}\n"
	mux.HandleFunc("/charts/index.yaml", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, index) })
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

// ociRegistry serves one chart artifact under two tags.
func ociRegistry(t testing.TB) (*httptest.Server, string) {
	t.Helper()
	data := archive(t, "1.2.3")
	config := []byte(`{"name":"small","version":"1.2.3","apiVersion":"v2"}`)
	descriptor := func(kind string, b []byte) map[string]any {
		return map[string]any{"mediaType": kind, "digest": digest(b), "size": len(b)}
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": descriptor("application/vnd.cncf.helm.config.v1+json", config),
		"layers": []any{descriptor("application/vnd.cncf.helm.chart.content.v1.tar+gzip", data)},
	})
	if err != nil {
		t.Fatal(err)
	}
	blobs := map[string][]byte{digest(data): data, digest(config): config}
	mux := http.NewServeMux()
	mux.HandleFunc("/v2/charts/small/tags/list", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"name":"charts/small","tags":["1.2.2","1.2.3","latest"]}`)
	})
	mux.HandleFunc("/v2/charts/small/manifests/", func(w http.ResponseWriter, r *http.Request) {
		ref := strings.TrimPrefix(r.URL.Path, "/v2/charts/small/manifests/")
		if ref != "1.2.3" && ref != digest(manifest) {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		w.Header().Set("Docker-Content-Digest", digest(manifest))
		w.Header().Set("Content-Length", fmt.Sprint(len(manifest)))
		w.Write(manifest)
	})
	mux.HandleFunc("/v2/charts/small/blobs/", func(w http.ResponseWriter, r *http.Request) {
		b, ok := blobs[strings.TrimPrefix(r.URL.Path, "/v2/charts/small/blobs/")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		w.Write(b)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv, digest(manifest)
}

func TestPull(t *testing.T) {
	helm := helmRepository(t)
	oci, pinned := ociRegistry(t)
	registry := "oci://" + strings.TrimPrefix(oci.URL, "http://") + "/charts"
	for _, test := range []struct {
		name  string
		chart source.Chart
		want  string // version, or else
		err   string
	}{
		{"exact", source.Chart{Kind: "HelmRepository", URL: helm.URL + "/charts", Version: "1.2.3"}, "1.2.3", ""},
		{"range", source.Chart{Kind: "HelmRepository", URL: helm.URL + "/charts/", Version: "1.2.x"}, "1.2.10", ""},
		{"newest that is no pre-release", source.Chart{Kind: "HelmRepository", URL: helm.URL + "/charts"}, "1.2.10", ""},
		{"no such version", source.Chart{Kind: "HelmRepository", URL: helm.URL + "/charts", Version: "9.x"}, "", `no version there fits "9.x"`},
		{"not a version", source.Chart{Kind: "HelmRepository", URL: helm.URL + "/charts", Version: "main"}, "", "neither a version nor a range"},
		{"no index", source.Chart{Kind: "HelmRepository", URL: helm.URL + "/nothing"}, "", "404"},
		{"digest", source.Chart{Name: "bad", Kind: "HelmRepository", URL: helm.URL + "/charts"}, "", "digest"},
		{"another chart", source.Chart{Name: "other", Kind: "HelmRepository", URL: helm.URL + "/charts"}, "", `the chart "small"`},
		{"no URL", source.Chart{Name: "none", Kind: "HelmRepository", URL: helm.URL + "/charts"}, "", "no URL"},
		{"OCIRepository", source.Chart{Kind: "OCIRepository", Insecure: true, URL: registry + "/small", Version: "1.2.3"}, "1.2.3", ""},
		{"OCIRepository, pinned", source.Chart{Kind: "OCIRepository", Insecure: true, URL: registry + "/small", Version: "1.2.3", Digest: pinned}, "1.2.3", ""},
		{"OCIRepository, pinned to another", source.Chart{Kind: "OCIRepository", Insecure: true, URL: registry + "/small", Version: "1.2.3", Digest: "sha256:00"}, "", "the release pins"},
		{"OCI HelmRepository, range", source.Chart{Kind: "HelmRepository", Insecure: true, URL: registry, Version: ">=1.2.0"}, "1.2.3", ""},
		{"OCI, no such tag", source.Chart{Kind: "OCIRepository", Insecure: true, URL: registry + "/small", Version: "3.0.0"}, "", "pull "},
		{"OCIRepository, plain HTTP that nobody asked for", source.Chart{Kind: "OCIRepository", URL: registry + "/small", Version: "1.2.3"}, "", "set spec.insecure: true"},
		{"OCI HelmRepository, plain HTTP that nobody asked for", source.Chart{Kind: "HelmRepository", URL: registry, Version: ">=1.2.0"}, "", "set spec.insecure: true"},
		{"Git", source.Chart{Kind: "GitRepository", URL: "https://x", Path: "charts/small"}, "", "directory (charts/small) of the GitRepository"},
		{"unknown source", source.Chart{Kind: "HelmRepository", Version: "1.2.3"}, "", "not in the repository"},
		{"bad scheme", source.Chart{Kind: "HelmRepository", URL: "file:///etc"}, "", "not an http address"},
		{"bad name", source.Chart{Name: "../x", Kind: "HelmRepository", URL: helm.URL}, "", "is not one"},
		{"credentials in the URL", source.Chart{Kind: "HelmRepository", URL: strings.Replace(helm.URL, "http://", "http://user:hunter2@", 1) + "/nothing"}, "", "404"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.chart.Name == "" {
				test.chart.Name = "small"
			}
			cache := t.TempDir()
			p := puller{client: http.DefaultClient}
			file, err := p.pull(context.Background(), test.chart, cache)
			if test.err != "" {
				if !errors.Is(err, ErrNoChart) || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("error %v, want %q", err, test.err)
				}
				if left, _ := os.ReadDir(cache); len(left) != 0 {
					t.Errorf("left behind: %v", left)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c, err := LoadChart(file)
			if err != nil || c.Version != test.want {
				t.Errorf("version %v, %v, want %s", c, err, test.want)
			}
		})
	}
}

func TestPullCached(t *testing.T) {
	cache := t.TempDir()
	if err := os.WriteFile(filepath.Join(cache, "small-1.2.3.tgz"), archive(t, "1.2.3"), 0o644); err != nil {
		t.Fatal(err)
	}
	// No server: only the cache can answer.
	file, err := Pull(context.Background(), source.Chart{Name: "small", Version: "v1.2.3", Kind: "OCIRepository", URL: "oci://127.0.0.1:1/x"}, cache)
	if err != nil || filepath.Base(file) != "small-1.2.3.tgz" {
		t.Errorf("%s, %v", file, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, url := range []string{"oci://127.0.0.1:1/x", "http://127.0.0.1:1/x"} {
		_, err = Pull(ctx, source.Chart{Name: "small", Version: "1.x", Kind: "HelmRepository", URL: url}, cache)
		if !errors.Is(err, ErrNoChart) || !strings.Contains(err.Error(), "--chart DIR|TGZ") {
			t.Errorf("cancelled %s: %v", url, err)
		}
	}
}
