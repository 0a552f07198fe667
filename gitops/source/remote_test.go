package source

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const withRemote = "resources:\n- https://git.example.com/org/net//cilium/overlay?ref=v1\npatches:\n- path: patch.yaml\n"

const remotePatch = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: cilium, namespace: kube-system}\nspec:\n  values:\n    MTU: 1400\n"

// remoteFiles is a repository with a base and an overlay in it.
func remoteFiles() map[string][]byte {
	return map[string][]byte{
		"cilium/overlay/kustomization.yaml": []byte("resources: [../base, https://raw.example.com/x/crds.yaml]\n"),
		"cilium/base/kustomization.yaml":    []byte("namespace: kube-system\nresources: [release.yaml]\nconfigMapGenerator: [{name: v, files: [values.yaml]}]\ngeneratorOptions: {disableNameSuffixHash: true}\n"),
		"cilium/base/values.yaml":           []byte("routingMode: native\n"),
		"cilium/base/release.yaml":          []byte(plain + "  valuesFrom: [{kind: ConfigMap, name: v}]\n  values: {MTU: 1500}\n"),
	}
}

// stand is a local stand-in for the network.
func stand(asked *[]string, answers map[string]*Remote) Fetcher {
	return func(_ context.Context, url string) (*Remote, error) {
		*asked = append(*asked, url)
		if r, ok := answers[url]; ok {
			return r, nil
		}
		return nil, errors.New("https://u:SECRET@nowhere.example.com/x?token=SECRET does not answer")
	}
}

func remoteRepo(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	put(t, root, "flux/sync.yaml", fluxed("flux-system", "flux", "")+"---\n"+fluxed("net", "net", ""))
	put(t, root, "net/kustomization.yaml", withRemote)
	put(t, root, "net/patch.yaml", remotePatch)
	return root
}

func TestRemoteBase(t *testing.T) {
	var asked []string
	fetch := stand(&asked, map[string]*Remote{
		"https://git.example.com/org/net//cilium/overlay?ref=v1": {Files: remoteFiles(), Path: "cilium/overlay"},
		"https://raw.example.com/x/crds.yaml":                    {Files: map[string][]byte{"crds.yaml": []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: crds}\n")}, Path: "crds.yaml"},
	})
	root := remoteRepo(t)
	if _, err := Find(context.Background(), Options{Root: root, Fetch: fetch}); err == nil || len(asked) != 0 ||
		!strings.Contains(err.Error(), "net/kustomization.yaml:2: the remote base https://git.example.com/org/net//cilium/overlay?ref=v1 is not read; --allow-remote-bases fetches it") {
		t.Fatalf("without leave: %v, asked %q", err, asked)
	}
	r, err := Find(context.Background(), Options{Root: root, Fetch: fetch, AllowRemoteBases: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(asked) != 2 {
		t.Errorf("asked %q", asked)
	}
	if r.Values["MTU"] != 1400.0 || r.Values["routingMode"] != "native" {
		t.Errorf("values %v", r.Values)
	}
	if r.File != "remote:git.example.com/org/net@v1/cilium/base/release.yaml" {
		t.Errorf("release in %s", r.File)
	}
	w := r.Where("routingMode")
	if w.File != "" || len(w.Chain) != 1 || w.Chain[0] != "remote:git.example.com/org/net@v1/cilium/base/values.yaml:1 sets native, wins" {
		t.Errorf("where %+v", w)
	}
	for _, s := range r.Sources {
		if s.File != "" || s.Writable || !strings.Contains(s.Why, "remote base") {
			t.Errorf("source %+v", s)
		}
	}
	for _, path := range []string{"routingMode", "newKey"} {
		if p := r.Place(path); !errors.Is(p.Err, ErrNotWritable) || !strings.Contains(p.Err.Error(), "another repository") {
			t.Errorf("%s: %+v", path, p)
		}
	}
	p := r.Place("MTU")
	if p.Err != nil || p.File != "net/patch.yaml" || p.Line != 6 {
		t.Fatalf("a patch of this repository: %+v", p)
	}
	src, err := os.ReadFile(filepath.Join(root, p.File))
	if err != nil {
		t.Fatal(err)
	}
	values, err := r.Rebuild(map[string][]byte{p.File: write(t, p, src, 1300)})
	if err != nil || values["MTU"] != 1300.0 || values["routingMode"] != "native" {
		t.Errorf("rebuilt %v, %v", values, err)
	}
}

// A base that cannot be fetched is named; it fails the search only when the
// release is in it.
func TestRemoteBaseUnreachable(t *testing.T) {
	var asked []string
	root := remoteRepo(t)
	_, err := Find(context.Background(), Options{Root: root, Fetch: stand(&asked, nil), AllowRemoteBases: true})
	if err == nil || !strings.Contains(err.Error(), "net/kustomization.yaml:2") || !strings.Contains(err.Error(), "does not answer") || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("needed: %v", err)
	}
	put(t, root, "net/release.yaml", plain)
	put(t, root, "net/kustomization.yaml", "resources: [release.yaml, github.com/org/crds]\n")
	r, err := Find(context.Background(), Options{Root: root, Fetch: stand(&asked, nil), AllowRemoteBases: true})
	if err != nil {
		t.Fatalf("not needed: %v", err)
	}
	if !slices.ContainsFunc(r.Missing, func(m string) bool { return strings.Contains(m, "github.com/org/crds is not read") }) {
		t.Errorf("missing %q", r.Missing)
	}
}

// A component may change anything, so one that is not read is said.
func TestRemoteComponentIsSaid(t *testing.T) {
	root := t.TempDir()
	put(t, root, "net/release.yaml", strings.Replace(plain, "sourceRef: {kind: HelmRepository, name: x}", "sourceRef: {kind: HelmRepository, name: x}", 1))
	put(t, root, "net/repo.yaml", "apiVersion: source.toolkit.fluxcd.io/v1\nkind: HelmRepository\nmetadata: {name: x, namespace: kube-system}\nspec: {url: https://helm.cilium.io}\n")
	put(t, root, "net/kustomization.yaml", "resources: [release.yaml, repo.yaml, github.com/org/crds]\ncomponents: [github.com/org/net//c]\n")
	r, err := Find(context.Background(), Options{Root: root})
	if err != nil || len(r.Missing) != 1 || !strings.Contains(r.Missing[0], "net/kustomization.yaml:2") || !strings.Contains(r.Missing[0], "may change the release") {
		t.Errorf("%v, %v", r, err)
	}
}

// A base can reach neither this repository nor another base.
func TestRemoteBaseIsConfined(t *testing.T) {
	for _, out := range []string{"../../../../net/patch.yaml", "../../../../../etc", "../../../../../../../x", "/etc/passwd"} {
		files := remoteFiles()
		files["cilium/overlay/kustomization.yaml"] = []byte("resources: [../base, " + out + "]\n")
		files["../../../evil.yaml"] = []byte(plain)
		var asked []string
		fetch := stand(&asked, map[string]*Remote{"https://git.example.com/org/net//cilium/overlay?ref=v1": {Files: files, Path: "cilium/overlay"}})
		_, err := Find(context.Background(), Options{Root: remoteRepo(t), Fetch: fetch, AllowRemoteBases: true})
		if !errors.Is(err, ErrOutside) || !strings.Contains(err.Error(), "remote:git.example.com/org/net@v1/cilium/overlay/kustomization.yaml:1") {
			t.Errorf("%s: %v", out, err)
		}
	}
}

// A base that names ever more bases comes to an end.
func TestRemoteBasesEnd(t *testing.T) {
	n := 0
	fetch := func(context.Context, string) (*Remote, error) {
		n++
		var list []string
		for i := range 10 {
			list = append(list, fmt.Sprintf("https://git.example.com/org/r%d-%d//x", n, i))
		}
		return &Remote{Files: map[string][]byte{"kustomization.yaml": []byte("resources: [\"" + strings.Join(list, "\", \"") + "\"]\n")}, Path: "."}, nil
	}
	_, err := Find(context.Background(), Options{Root: remoteRepo(t), Fetch: fetch, AllowRemoteBases: true})
	if err == nil || n > maxRemotes {
		t.Errorf("%d fetched: %v", n, err)
	}
}

func TestParseRemote(t *testing.T) {
	for raw, want := range map[string]string{
		"https://github.com/org/repo//path/to?ref=v1":             "https://github.com/org/repo path/to v1 github.com/org/repo@v1",
		"https://github.com/org/repo?ref=main":                    "https://github.com/org/repo . main github.com/org/repo@main",
		"github.com/org/repo/path?ref=v1":                         "https://github.com/org/repo path v1 github.com/org/repo@v1",
		"git::https://gitlab.example.com:8443/a/b/c.git//d":       "https://gitlab.example.com:8443/a/b/c.git d  gitlab.example.com-8443/a/b/c@HEAD",
		"git@github.com:org/repo.git//p?version=1":                "git@github.com:org/repo.git p 1 github.com/org/repo@1",
		"github.com:org/repo":                                     "git@github.com:org/repo .  github.com/org/repo@HEAD",
		"gh:org/repo/sub":                                         "https://github.com/org/repo sub  github.com/org/repo@HEAD",
		"ssh://git@git.example.com:22/org/repo//p":                "ssh://git@git.example.com:22/org/repo p  git.example.com-22/org/repo@HEAD",
		"https://dev.azure.com/org/proj/_git/repo/path":           "https://dev.azure.com/org/proj/_git/repo path  dev.azure.com/org/proj/_git/repo@HEAD",
		"https://github.com/org/repo/releases/download/v1/x.yaml": "https://github.com/org/repo/releases/download/v1/x.yaml x.yaml  github.com/org/repo/releases/download/v1",
		"https://raw.example.com/x.yaml?token=T":                  "https://raw.example.com/x.yaml?token=T x.yaml  raw.example.com/.",
	} {
		s, err := parseRemote(raw)
		if got := fmt.Sprintf("%s %s %s %s", s.clone, s.path, s.ref, s.name); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", raw, got, err, want)
		}
	}
	for _, raw := range []string{
		"http://github.com/org/repo", "file:///etc", "ext::sh -c x", "git://github.com/org/repo", "https://u:p@github.com/org/repo",
		"https://token@github.com/org/repo", "https://github.com/org", "https://github.com/org/repo//../../x", "-oProxyCommand=x", "", "ssh://-oProxyCommand=x/a",
	} {
		if s, err := parseRemote(raw); err == nil {
			t.Errorf("%q: taken as %+v", raw, s)
		}
	}
}

func TestShownRemote(t *testing.T) {
	for raw, want := range map[string]string{
		"https://u:SECRET@h.example.com/a//b?ref=v1&token=SECRET": "https://xxxxx@h.example.com/a//b?ref=v1",
		"https://SECRET@h.example.com/a":                          "https://xxxxx@h.example.com/a",
		"git@github.com:a/b?ref=x":                                "git@github.com:a/b?ref=x",
		"SECRET@github.com:a/b":                                   "xxxxx@github.com:a/b",
		"ssh://git@h/a":                                           "ssh://git@h/a",
		"github.com/a/b":                                          "github.com/a/b",
	} {
		if got := shownRemote(raw); got != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
}

// gitServer serves a repository with one commit over HTTPS, as a forge does,
// and returns its address, its certificate and the commit.
func gitServer(t *testing.T, files map[string][]byte) (base string, ca []byte, commit string) {
	t.Helper()
	dir := t.TempDir()
	run := func(args ...string) string {
		cmd := exec.Command("git", append([]string{"-C", filepath.Join(dir, "net"), "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	for f, b := range files {
		put(t, filepath.Join(dir, "net"), f, string(b))
	}
	run("init")
	run("add", ".")
	run("commit", "-m", "one")
	run("tag", "-a", "v1", "-m", "v1")
	commit = run("rev-parse", "HEAD")
	put(t, filepath.Join(dir, "net"), "cilium/base/values.yaml", "routingMode: tunnel\n")
	run("commit", "-am", "two")
	run("config", "uploadpack.allowAnySHA1InWant", "true")
	server := httptest.NewUnstartedServer(&cgi.Handler{
		Path:   filepath.Join(run("--exec-path"), "git-http-backend"),
		Logger: log.New(io.Discard, "", 0), Stderr: io.Discard,
		Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	})
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), commit
}

func TestFetchGit(t *testing.T) {
	files := remoteFiles()
	files["big.bin"] = []byte("x")
	base, ca, commit := gitServer(t, files)
	f := fetcher{ca: ca}
	for ref, want := range map[string]string{"": "tunnel", "main": "tunnel", "v1": "native", commit: "native"} {
		r, err := f.fetch(context.Background(), base+"/net/.git//cilium/overlay?ref="+ref)
		if err != nil {
			t.Errorf("%s: %v", ref, err)
			continue
		}
		if r.Path != "cilium/overlay" || string(r.Files["cilium/base/values.yaml"]) != "routingMode: "+want+"\n" || r.Files["big.bin"] != nil {
			t.Errorf("%s: path %s, %q", ref, r.Path, r.Files["cilium/base/values.yaml"])
		}
	}
	if _, err := f.fetch(context.Background(), base+"/net/.git//x?ref=nowhere"); err == nil || !strings.Contains(err.Error(), `no branch, tag or commit "nowhere"`) {
		t.Errorf("unknown revision: %v", err)
	}
	if _, err := f.fetch(context.Background(), base+"/gone.git//x?token=SECRET"); err == nil || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("no repository: %v", err)
	}
	if _, err := FetchRemote(context.Background(), base+"/net/.git//x"); err == nil {
		t.Error("a certificate that nobody vouches for is taken")
	}
}

func TestFetchFile(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/x.yaml":
			fmt.Fprint(w, "a: ", req.URL.Query().Get("token"))
		case "/plain.yaml":
			http.Redirect(w, req, "http://127.0.0.1:1/x.yaml", http.StatusFound)
		case "/loop.yaml":
			http.Redirect(w, req, "/loop.yaml", http.StatusFound)
		case "/big.yaml":
			_, _ = w.Write(make([]byte, maxRemoteFile+1))
		default:
			http.NotFound(w, req)
		}
	}))
	defer server.Close()
	f := fetcher{ca: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})}
	r, err := f.fetch(context.Background(), server.URL+"/x.yaml?token=T")
	if err != nil || r.Path != "x.yaml" || string(r.Files["x.yaml"]) != "a: T" {
		t.Errorf("%+v, %v", r, err)
	}
	for path, want := range map[string]string{"/gone.yaml": "404", "/plain.yaml": "only https", "/loop.yaml": "only https", "/big.yaml": "too large"} {
		if _, err := f.fetch(context.Background(), server.URL+path+"?token=SECRET"); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", path, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := f.fetch(ctx, server.URL+"/x.yaml"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
