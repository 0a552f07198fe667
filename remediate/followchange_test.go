package remediate

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/examples"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/gitops/source"
	"github.com/remediate-dev/remediate/remediate/verify"
)

const (
	nativeKey = "ipv6-native-routing-cidr"
	widened   = "fd00:101::/38"
)

// widen commits the fix of the incident and gives the commit.
func widen(t *testing.T, dir string) string {
	t.Helper()
	file := filepath.Join(dir, valuesFile)
	was, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, strings.Replace(string(was), "fd00:101::/48", widened, 1))
	runGit(t, dir, "commit", "-qam", "widen")
	return head(t, dir)
}

func head(t *testing.T, dir string) string {
	t.Helper()
	r, err := repo.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	h, err := r.Head()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// What a commit changes is read from Git, whatever the working tree holds.
func TestChangeAt(t *testing.T) {
	opts := layIncident(t, examples.Default)
	fix := widen(t, opts.Repo)
	values, err := source.Find(context.Background(), source.Options{Root: opts.Repo})
	if err != nil {
		t.Fatal(err)
	}
	want, ok := ValuesDigest(values)
	if !ok {
		t.Fatal("the incident's values are all known")
	}
	write(t, filepath.Join(opts.Repo, "README.md"), "more\n")
	runGit(t, opts.Repo, "add", "-A")
	runGit(t, opts.Repo, "commit", "-qm", "later")
	later := head(t, opts.Repo)
	write(t, filepath.Join(opts.Repo, valuesFile), "ipv6NativeRoutingCIDR: fd00::/8\n")

	c, err := ChangeAt(context.Background(), opts, fix)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wide := widened
	p := c.Planned
	if d := cmp.Diff(map[string]*string{nativeKey: &wide}, p.Config); d != "" {
		t.Error(d)
	}
	if p.ValuesDigest != want || p.HotReload || !slices.Equal(p.Restart, []string{"DaemonSet/cilium"}) {
		t.Errorf("%+v, want digest %s", p, want)
	}
	if !slices.Contains(p.Causes, verify.Cause{Signature: "native-routing-cidr-excludes-pods", Family: "IPv6"}) && !hasCause(p.Causes) || !p.EndsMasquerade {
		t.Errorf("causes %+v, ends masquerade %v", p.Causes, p.EndsMasquerade)
	}
	if c.Commit != fix || c.At.IsZero() || c.Release == "" {
		t.Errorf("%+v", c)
	}
	holds := func(rev string, want snapshot.Tri) {
		t.Helper()
		got, err := c.Holds()(context.Background(), rev)
		if err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", rev, got, err, want)
		}
	}
	before, err := c.clone.Resolve(fix + "~1")
	if err != nil {
		t.Fatal(err)
	}
	holds(later, snapshot.Yes)
	holds(fix, snapshot.Yes)
	holds(before, snapshot.No)
	holds(strings.Repeat("a", 40), snapshot.Unknown)
	holds("main", snapshot.Unknown)

	for rev, text := range map[string]string{later: "changes no value", "nonsense": "nonsense"} {
		if _, err := ChangeAt(context.Background(), opts, rev); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want %q", rev, err, text)
		}
	}
}

func hasCause(causes []verify.Cause) bool {
	return slices.ContainsFunc(causes, func(c verify.Cause) bool {
		return c.Signature == "native-routing-cidr-excludes-pods" && c.Family == "IPv6"
	})
}

func TestPlannedChange(t *testing.T) {
	text, other := "nonMasqueradeCIDRs: [fd00::/8]", "nonMasqueradeCIDRs: []"
	config := func(masq *string, pairs ...string) cilium.Config {
		c := cilium.Config{Version: "1.18.6", Values: map[string]string{}, MasqAgent: masq}
		for i := 0; i < len(pairs); i += 2 {
			c.Values[pairs[i]] = pairs[i+1]
		}
		return c
	}
	tests := []struct {
		name          string
		before, after cilium.Config
		keys          []string
		restart       []string
		hot           bool
	}{
		{"nothing", config(nil), config(nil), nil, nil, false},
		{"a key changes", config(nil, "mtu", "1400"), config(nil, "mtu", "1450"), []string{"mtu"}, []string{"DaemonSet/cilium"}, false},
		{"a key goes", config(nil, "mtu", "1400"), config(nil), []string{"mtu"}, []string{"DaemonSet/cilium"}, false},
		{"the list alone", config(&text), config(&other), []string{verify.MasqAgentKey}, nil, true},
		{"the list comes", config(nil, "enable-ip-masq-agent", "false"), config(&text, "enable-ip-masq-agent", "true"),
			[]string{"enable-ip-masq-agent", verify.MasqAgentKey}, []string{"DaemonSet/cilium"}, false},
		{"the operator's pools", config(nil, "cluster-pool-ipv4-cidr", "10.0.0.0/8"), config(nil, "cluster-pool-ipv4-cidr", "10.0.0.0/9"),
			[]string{"cluster-pool-ipv4-cidr"}, []string{"DaemonSet/cilium", "Deployment/cilium-operator"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := PlannedChange(tt.before, tt.after)
			if got := slices.Sorted(maps.Keys(p.Config)); !slices.Equal(got, tt.keys) || !slices.Equal(p.Restart, tt.restart) || p.HotReload != tt.hot {
				t.Errorf("%v, %v, hot reload %v; want %v, %v, %v", got, p.Restart, p.HotReload, tt.keys, tt.restart, tt.hot)
			}
		})
	}
}
