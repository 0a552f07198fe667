package testbed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// component is a server that is built from a nested module.
type component struct {
	// module is the folder beside this file whose go.mod pins it.
	module string
	pkg    string
	// kubernetes: the binary must know the release it is of, which the API
	// server tells its clients.
	kubernetes bool
	// cgo: it takes a C compiler to build it.
	cgo bool
	// tags are build tags, with commas between.
	tags string
}

// toolNames are the components that Tool builds, the longest builds first.
func toolNames() []string {
	return []string{"kube-apiserver", "kube-controller-manager", "gitea", "helm-controller", "source-controller", "kustomize-controller", "etcd"}
}

// datapathNames are those that only tests with root take ([internal/testbed/cilium]).
func datapathNames() []string { return []string{"cilium-agent", "cilium-dbg", "cilium-cni"} }

// releaseNames are those that are built of each of [CiliumReleases], and of the version of
// cilium/module.
func releaseNames() []string { return append(datapathNames(), "cilium-operator") }

func componentNamed(name string) (component, bool) {
	switch name {
	case "etcd":
		return component{module: "etcd", pkg: "go.etcd.io/etcd/server/v3"}, true
	case "kube-apiserver":
		return component{module: "k8s", pkg: "k8s.io/kubernetes/cmd/kube-apiserver", kubernetes: true}, true
	case "kube-controller-manager":
		return component{module: "k8s", pkg: "k8s.io/kubernetes/cmd/kube-controller-manager", kubernetes: true}, true
	case "source-controller", "kustomize-controller", "helm-controller":
		return component{module: "flux", pkg: "github.com/fluxcd/" + name}, true
	case "gitea":
		return component{module: "gitea", pkg: "code.gitea.io/gitea", cgo: true, tags: "sqlite,sqlite_unlock_notify"}, true
	case "cilium-agent":
		return component{module: "cilium/module", pkg: "github.com/cilium/cilium/daemon", tags: "osusergo"}, true
	case "cilium-dbg":
		return component{module: "cilium/module", pkg: "github.com/cilium/cilium/cilium-dbg", tags: "osusergo"}, true
	case "cilium-operator":
		return component{module: "cilium/module", pkg: "github.com/cilium/cilium/operator", tags: "osusergo,ipam_provider_operator"}, true
	case "cilium-cni":
		return component{module: "cilium/module", pkg: "github.com/cilium/cilium/plugins/cilium-cni", tags: "osusergo"}, true
	}
	return component{}, false
}

// Tool returns the path of a binary, one of toolNames or releaseNames; "gitea"
// takes a C compiler. "cilium-agent@1.20" is that of another release, one of
// [CiliumReleases]. It is built once and kept below the user's cache folder ($XDG_CACHE_HOME or $HOME/.cache), in
// remediate/tools/KEY, where KEY is the sha256 of all that goes into the build.
// Test processes that want the same one wait for each other.
//
// The test fails when it cannot be built, or not within the test's time limit;
// what was compiled until then is kept, so that the next run goes on from there.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := tool(t, name)
	if err != nil {
		t.Fatalf("build %s: %v", name, err)
	}
	return path
}

func tool(t testing.TB, name string) (string, error) {
	name, release, other := strings.Cut(name, "@")
	c, ok := componentNamed(name)
	if !ok || other && !slices.Contains(releaseNames(), name) {
		return "", errors.New("no such component: there are " + strings.Join(append(toolNames(), releaseNames()...), ", "))
	}
	root, err := checkout()
	if err != nil {
		return "", err
	}
	b, err := newBuild(filepath.Join(root, "internal", "testbed", c.module, release), c)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder: %w; set XDG_CACHE_HOME", err)
	}
	ctx, cancel := untilDeadline(t)
	defer cancel()
	return b.cached(ctx, t, filepath.Join(cache, "remediate", "tools", b.key), name)
}

// buildMargin is what is left of the test's time for the reason to be printed.
const buildMargin = 10 * time.Second

func untilDeadline(t testing.TB) (context.Context, context.CancelFunc) {
	if d, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if at, limited := d.Deadline(); limited {
			return context.WithDeadline(t.Context(), at.Add(-buildMargin))
		}
	}
	return context.WithCancel(t.Context())
}

// build is one way to build one component. The key names all that decides the
// outcome.
type build struct {
	dir  string
	pkg  string
	args []string
	cgo  string
	key  string
}

func newBuild(dir string, c component) (*build, error) {
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return nil, err
	}
	sum, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil {
		return nil, err
	}
	ldflags := "-s -w"
	if c.kubernetes {
		if ldflags, err = kubernetesFlags(mod); err != nil {
			return nil, err
		}
	}
	b := &build{dir: dir, pkg: c.pkg, cgo: "0", args: []string{"build", "-trimpath", "-ldflags", ldflags}}
	if c.cgo {
		b.cgo = "1"
	}
	if c.tags != "" {
		b.args = append(b.args, "-tags", c.tags)
	}
	toolchain, err := b.goTool(context.Background(), "env", "GOVERSION", "GOOS", "GOARCH")
	if err != nil {
		return nil, err
	}
	parts := [][]byte{mod, sum, []byte(toolchain), []byte(strings.Join(b.args, "\n"))}
	if c.cgo {
		parts = append(parts, []byte("cgo"))
	}
	b.key = buildKey(parts...)
	return b, nil
}

func buildKey(parts ...[]byte) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d\n", len(part))
		h.Write(part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

var kubernetesRelease = regexp.MustCompile(`(?m)^\s*(?:require )?k8s\.io/kubernetes (v(\d+)\.(\d+)\.\d+)\b`)

// kubernetesFlags stamp the release, as Kubernetes' own build does
// (hack/lib/version.sh, 1.34): without them the server calls itself
// v0.0.0-master+$Format:%H$, which charts that test kubeVersion refuse.
func kubernetesFlags(mod []byte) (string, error) {
	m := kubernetesRelease.FindSubmatch(mod)
	if m == nil {
		return "", errors.New("go.mod does not require k8s.io/kubernetes at a release")
	}
	flags := []string{"-s", "-w"}
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for _, v := range []string{"gitVersion=" + string(m[1]), "gitMajor=" + string(m[2]), "gitMinor=" + string(m[3]), "gitTreeState=clean"} {
			flags = append(flags, "-X", pkg+"."+v)
		}
	}
	return strings.Join(flags, " "), nil
}

// cached returns dir/name, and builds it when it is not there.
func (b *build) cached(ctx context.Context, t testing.TB, dir, name string) (string, error) {
	path := filepath.Join(dir, name)
	if isExecutable(path) {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	// One at a time for the whole machine: a compile or link takes up to 2 GB.
	unlock, err := lock(ctx, filepath.Join(filepath.Dir(dir), "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if isExecutable(path) {
		return path, nil
	}
	if err := b.compiler(ctx); err != nil {
		return "", err
	}
	t.Logf("building %s into %s; minutes, once", name, dir)
	return path, b.into(ctx, path)
}

// into builds and puts the binary in place as a whole. The caller holds the
// lock, so what lies there half done is of a process that was killed.
func (b *build) into(ctx context.Context, path string) (err error) {
	stale, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".build-*"))
	if err != nil {
		return err
	}
	for _, dir := range stale {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	tmp, err := os.MkdirTemp(filepath.Dir(path), ".build-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	made := filepath.Join(tmp, filepath.Base(path))
	args := append(append([]string{}, b.args...), "-o", made, b.pkg)
	if _, err := b.goTool(ctx, args...); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("the test's time was up before the build was done: run it again, it goes on from here, or give go test -timeout 30m: %w", ctx.Err())
		}
		return err
	}
	return os.Rename(made, path)
}

// compiler tells a missing C compiler before minutes are spent.
func (b *build) compiler(ctx context.Context) error {
	if b.cgo == "0" {
		return nil
	}
	out, err := b.goTool(ctx, "env", "CC")
	if err != nil {
		return err
	}
	// CC may carry flags: "gcc -m64".
	cc := append(strings.Fields(out), "")[0]
	if _, err := exec.LookPath(cc); err != nil {
		return fmt.Errorf("it takes a C compiler, and there is no %q: sudo apt-get install -y gcc libc6-dev: %w", cc, err)
	}
	return nil
}

// goTool runs the go command in the nested module, whatever the caller's
// environment says of flags and workspaces.
func (b *build) goTool(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+b.cgo, "GOFLAGS=-mod=readonly", "GOWORK=off")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = buildMargin / 2
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s in %s: %w\n%s", args[0], b.dir, err, lastLines(stderr.String(), 20))
	}
	return string(out), nil
}

func isExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// lock waits for the file lock, which the system takes back from a process that
// ended.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	type result struct {
		unlock func()
		err    error
	}
	got := make(chan result, 1)
	go func() {
		unlock, err := lockedfile.MutexAt(path).Lock()
		got <- result{unlock, err}
	}()
	select {
	case r := <-got:
		return r.unlock, r.err
	case <-ctx.Done():
		// Should it come after all, it is given back.
		go func() {
			if r := <-got; r.err == nil {
				r.unlock()
			}
		}()
		return nil, fmt.Errorf("another process builds and holds %s: run the test again when it is done: %w", path, ctx.Err())
	}
}

// lastLines of a text, for an error message.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
