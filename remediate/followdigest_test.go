package remediate

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/chartutil"
	"github.com/opencontainers/go-digest"

	"github.com/remediate-dev/remediate/gitops/source"
)

// The digests are those that helm-controller 1.6.1 recorded in
// status.history[].configDigest when it released the healthy example's repository in
// the bed of internal/testbed/story, and then with the bad prefix in it.
func TestValuesDigestIsHelmControllers(t *testing.T) {
	const good, bad = "fd00:101::/38", "fd00:101::/48"
	for cidr, want := range map[string]string{
		good: "sha256:2add7fdd8f719263b246be0220349d89cffb4cf5c3ef65e766a5458b33883064",
		bad:  "sha256:813abd19634cc3e7946e8bbe57abd9531757da245fe436f59f3ff952f940652c",
	} {
		t.Run(cidr, func(t *testing.T) {
			opts := layIncident(t, "talos-ipv6-healthy")
			file := filepath.Join(opts.Repo, valuesFile)
			text, err := os.ReadFile(file)
			must(t, err)
			write(t, file, strings.Replace(string(text), good, cidr, 1))
			rel, err := source.Find(t.Context(), source.Options{Root: opts.Repo})
			must(t, err)
			if got, ok := ValuesDigest(rel); !ok || got != want {
				t.Errorf("%s, known %v; helm-controller recorded %s", got, ok, want)
			}
		})
	}
}

// Helm keeps a release as JSON, where every number is a float, and helm-controller
// takes the digest of what it reads back: of the same values it is the same.
func TestValuesDigestOutlivesStorage(t *testing.T) {
	values := map[string]any{
		"whole": 1500, "large": int64(9007199254740991), "negative": -3, "fraction": 0.25, "text": "0123", "yes": true, "none": nil,
		"nested": map[string]any{"b": []any{1, "2", map[string]any{"z": 1.0, "a": nil}}, "a": map[string]any{}}, "empty": []any{},
		"632bd80235a05f4192aefade": "a key that looks like a number",
	}
	raw, err := json.Marshal(values)
	must(t, err)
	var kept map[string]any
	must(t, json.Unmarshal(raw, &kept))
	got, ok := ValuesDigest(&source.Release{Values: values})
	if want := chartutil.DigestValues(digest.Canonical, kept).String(); !ok || got != want {
		t.Errorf("%s, and of what Helm keeps %s", got, want)
	}
	kept["whole"] = 1501
	if other := chartutil.DigestValues(digest.Canonical, kept).String(); other == got {
		t.Error("another value has the same digest")
	}
}

// Without values the digest is that of nothing, whether there is an empty map or
// none.
func TestValuesDigestOfNothing(t *testing.T) {
	const nothing = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for _, values := range []map[string]any{nil, {}} {
		if got, ok := ValuesDigest(&source.Release{Values: values}); !ok || got != nothing {
			t.Errorf("%v: %s", values, got)
		}
	}
}

// Values that the repository does not show have no digest that could be planned.
func TestValuesDigestNotKnown(t *testing.T) {
	for what, r := range map[string]source.Release{
		"from a Secret":         {Sources: []source.ValuesSource{{Kind: "ConfigMap"}, {Kind: "Secret"}}},
		"a source is not there": {Missing: []string{"ConfigMap kube-system/extra is not in the repository"}},
		"a variable is open":    {Unresolved: []source.Unresolved{{}}},
	} {
		r.Values = map[string]any{"a": 1}
		if got, ok := ValuesDigest(&r); ok || got != "" {
			t.Errorf("%s: %q", what, got)
		}
	}
}
