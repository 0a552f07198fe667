package house

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// wall says what packages must not reach. from and deps name a path and all
// below it, direct names single packages: "os" is not "os/signal".
type wall struct {
	from   []string // the packages it holds for
	direct []string // must not stand among their own imports
	deps   []string // must not be linked at all, not through others either
	why    string
}

// walls are the arrows of the design: facts flow from detect to remediate, and
// gitops knows nothing of findings.
func walls() []wall {
	ours := func(paths ...string) []string {
		for i, p := range paths {
			paths[i] = module + "/" + p
		}
		return paths
	}
	everything := ours("api", "cmd", "detect", "gitops", "internal", "remediate")
	return []wall{
		{
			from: ours("detect"), deps: ours("gitops", "remediate", "cmd"),
			why: "detect knows the cluster, not the repository or the remedy",
		},
		{
			from: ours("gitops"), deps: ours("detect", "remediate", "cmd"),
			why: "gitops takes values, files and paths, not findings",
		},
		{
			from: ours("api"), deps: without(everything, module+"/api"),
			why: "the documents depend on nothing of ours",
		},
		{
			from: ours("internal/cidr"), deps: without(everything, module+"/internal"),
			why: "CIDR arithmetic depends on nothing of ours",
		},
		{
			from:   pure(),
			direct: []string{"context", "os", "os/exec", "net/http", "io/ioutil", "log", "log/slog", "math/rand", "math/rand/v2"},
			deps: append([]string{
				"k8s.io/client-go", "sigs.k8s.io/controller-runtime", "helm.sh/helm",
				"sigs.k8s.io/kustomize", "github.com/go-git/go-git",
			}, ours("detect/observe", "detect/probe")...),
			why: "the pure core takes no client, no context and no file, so that tables can test it",
		},
		{
			from: append(ours("api", "detect", "gitops", "remediate/plan", "remediate/guard", "remediate/verify", "remediate/delivery"), module+"/remediate$"),
			deps: ours("remediate/controller"),
			why:  "the reconcilers run the steps; no step knows that it is run by one",
		},
		{
			from: ours("remediate/controller"), direct: []string{"os/exec"},
			why: "the controller executes nothing",
		},
		{
			from: ours("cmd/remediate-probe"),
			deps: []string{
				"helm.sh/helm", "sigs.k8s.io/kustomize", "sigs.k8s.io/controller-runtime",
				"github.com/fluxcd", "github.com/go-git/go-git", module + "/gitops", module + "/remediate",
			},
			why: "the probe runs on every node and stays small",
		},
		{
			from: []string{module}, deps: []string{"github.com/cilium/cilium/pkg", "github.com/cilium/cilium/daemon"},
			why: "Cilium's packages weigh 50 MB and hold global state; only conformance links them",
		},
	}
}

// pure are the packages without clock, client or context.
func pure() []string {
	paths := []string{
		"detect/snapshot", "detect/cilium", "detect/policy", "detect/datapath", "detect/mesh",
		"detect/signature", "detect/confirm", "remediate/plan", "remediate/guard", "remediate/verify", "internal/cidr",
	}
	for i, p := range paths {
		paths[i] = module + "/" + p
	}
	return append(paths, module+"/detect$")
}

func without(list []string, drop string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == drop })
}

// in says whether the import path is pattern or lies below it. A pattern that
// ends in $ means that one package alone. A major version's suffix counts as
// below: helm.sh/helm holds helm.sh/helm/v4.
func in(path, pattern string) bool {
	if exact, ok := strings.CutSuffix(pattern, "$"); ok {
		return path == exact
	}
	return path == pattern || strings.HasPrefix(path, pattern+"/")
}

func anyIn(path string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return in(path, p) })
}

// breaches lists what breaks the walls.
func breaches(list []pkg, walls []wall) []string {
	var out []string
	for _, w := range walls {
		for _, p := range list {
			if !anyIn(p.ImportPath, w.from) {
				continue
			}
			for _, i := range p.Imports {
				if slices.Contains(w.direct, i) {
					out = append(out, fmt.Sprintf("%s imports %s: %s", p.rel(), i, w.why))
				}
			}
			for _, d := range p.Deps {
				if anyIn(d, w.deps) {
					out = append(out, fmt.Sprintf("%s links %s: %s", p.rel(), d, w.why))
				}
			}
		}
	}
	return out
}

func TestWalls(t *testing.T) {
	report(t, breaches(packages(t), walls()))
}

func TestWallsStop(t *testing.T) {
	m := module + "/"
	tests := []struct {
		name string
		pkg  pkg
		want string // part of the one breach; "" for none
	}{
		{"detect to gitops", pkg{ImportPath: m + "detect/observe", Deps: []string{m + "gitops/edit"}}, "links " + m + "gitops/edit"},
		{"detect to remediate", pkg{ImportPath: m + "detect/probe", Deps: []string{m + "remediate"}}, "links " + m + "remediate"},
		{"detect to api", pkg{ImportPath: m + "detect/cilium", Deps: []string{m + "api/v1alpha1"}}, ""},
		{"gitops to detect", pkg{ImportPath: m + "gitops/source", Deps: []string{m + "detect/snapshot"}}, "not findings"},
		{"gitops to internal", pkg{ImportPath: m + "gitops/source", Deps: []string{m + "internal/cidr"}}, ""},
		{"api to internal", pkg{ImportPath: m + "api/v1alpha1", Deps: []string{m + "internal/cidr"}}, "nothing of ours"},
		{"a name that only begins alike", pkg{ImportPath: m + "detect/observe", Deps: []string{module + "/remediatex"}}, ""},
		{"pure with context", pkg{ImportPath: m + "remediate/plan", Imports: []string{"context"}}, "imports context"},
		{"pure with a client", pkg{ImportPath: m + "detect/policy", Deps: []string{"k8s.io/client-go/rest"}}, "client-go"},
		{"pure root of detect", pkg{ImportPath: m + "detect", Imports: []string{"os"}}, "imports os"},
		{"observe may read files", pkg{ImportPath: m + "detect/observe", Imports: []string{"os", "context"}}, ""},
		{"a step that knows the controller", pkg{ImportPath: m + "remediate/verify", Deps: []string{m + "remediate/controller"}}, "no step knows"},
		{"a controller that executes", pkg{ImportPath: m + "remediate/controller", Imports: []string{"os/exec"}}, "executes nothing"},
		{"probe with helm", pkg{ImportPath: m + "cmd/remediate-probe", Deps: []string{"helm.sh/helm/v4/pkg/engine"}}, "stays small"},
		{"cilium itself", pkg{ImportPath: m + "cmd/remediate", Deps: []string{"github.com/cilium/cilium/pkg/policy"}}, "only conformance"},
		{"hubble's client", pkg{ImportPath: m + "detect/probe", Deps: []string{"github.com/cilium/cilium/api/v1/observer"}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := breaches([]pkg{tt.pkg}, walls())
			if tt.want == "" {
				if len(got) > 0 {
					t.Fatalf("got %q, want none", got)
				}
				return
			}
			if len(got) != 1 || !strings.Contains(got[0], tt.want) {
				t.Fatalf("got %q, want one that says %q", got, tt.want)
			}
		})
	}
}
