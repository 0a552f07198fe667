package cilium

import (
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

func TestParseRelease(t *testing.T) {
	for in, want := range map[string]release{
		"1.18.6":                {1, 18, 6},
		"v1.18.6":               {1, 18, 6},
		" 1.20.2 ":              {1, 20, 2},
		"1.19":                  {1, 19, 0},
		"1.18.0-rc.1":           {1, 18, 0},
		"v1.18.6@sha256:0123ab": {1, 18, 6},
		"1.20.2+build.5":        {1, 20, 2},
	} {
		got, ok := parseRelease(in)
		if !ok || got != want {
			t.Errorf("parseRelease(%q) = %v, %v; want %v", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "latest", "1", "1.x", "1.18.6.1", "1.-2.3", "stable-1.18", "v"} {
		if got, ok := parseRelease(in); ok {
			t.Errorf("parseRelease(%q) = %v, want none", in, got)
		}
	}
}

func TestVersionOutsideOfTheRules(t *testing.T) {
	for version, want := range map[string]string{
		"1.15.9": "older than the oldest",
		"1.21.0": "newer than the newest",
		"2.0.0":  "newer than the newest",
		"latest": "not a release number",
	} {
		cfg := base(version, nil)
		s := CheckStart(cfg)
		if s.Starts != snapshot.Unknown || !strings.Contains(strings.Join(s.Unknown, "\n"), want) {
			t.Errorf("CheckStart with %q: %s, %q; want unknown, %q", version, s.Starts, s.Unknown, want)
		}
		_, notices := Effective(cfg)
		if n := noticeByID(notices, "W16"); !strings.Contains(n.Message, want) {
			t.Errorf("Effective with %q: notice %q, want %q", version, n.Message, want)
		}
	}
}

// Rules of another release prove nothing: what 1.16 refuses is what 1.14 was
// configured with.
func TestNoRefusalOfUnmodelledVersions(t *testing.T) {
	for _, version := range []string{"1.12.7", "1.14.5", "1.15.10", "1.21.0"} {
		s := CheckStart(base(version, map[string]string{"routing-mode": "direct", "auto-direct-node-routes": "true", "kube-proxy-replacement": "strict"}))
		if s.Starts != snapshot.Unknown || len(s.Refusals)+len(s.Datapath) > 0 {
			t.Errorf("%s: got %s with %v, want unknown and no refusal", version, s.Starts, s.Refusals)
		}
		if said := strings.Join(s.Unknown, "\n"); !strings.Contains(said, "start-up rules are known from 1.16 to 1.20") {
			t.Errorf("%s: unknown is %q", version, said)
		}
	}
}

// Without a version only a rule of all releases refuses.
func TestNoVersionRefusesOnlyWhatAllRefuse(t *testing.T) {
	for _, version := range []string{"", "latest"} {
		if s := CheckStart(base(version, map[string]string{"enable-bpf-masquerade": "true", "kube-proxy-replacement": "false"})); len(s.Refusals) > 0 {
			t.Errorf("%q: %v, which 1.20 does not refuse", version, s.Refusals)
		}
		if s := CheckStart(base(version, map[string]string{"routing-mode": "direct", "auto-direct-node-routes": "false"})); s.First() == nil || s.First().ID != "V10" {
			t.Errorf("%q: %v, want V10, which all refuse", version, s.Refusals)
		}
	}
}

// A rule that reads a key nobody could tell decides nothing; the others do.
func TestUnknownKeysDecideNothing(t *testing.T) {
	for _, c := range []struct {
		name    string
		values  map[string]string
		unknown string
		want    []string
		said    string
	}{
		{"a pool that is a variable", map[string]string{"ipam": "cluster-pool", "enable-ipv6": "false"}, "cluster-pool-ipv4-cidr", nil, "cluster-pool-ipv4-cidr (rules O1"},
		{"an IPAM mode that is a variable", nil, "ipam", nil, "ipam (rules "},
		{"another rule refuses", map[string]string{"ipam": "cluster-pool", "enable-ipv6": "false", "routing-mode": "direct"}, "cluster-pool-ipv4-cidr", []string{"V10"}, "O1"},
		{"a key that does not matter here", map[string]string{"ipam": "kubernetes", "enable-ipv6": "false"}, "cluster-pool-ipv4-cidr", nil, ""},
	} {
		cfg := Config{Version: "1.18.6", Values: map[string]string{}, Unknown: map[string]string{c.unknown: "it is a variable"}}
		for k, v := range c.values {
			cfg.Values[k] = v
		}
		s := CheckStart(cfg)
		var got []string
		for _, r := range s.Refusals {
			got = append(got, r.ID)
		}
		if strings.Join(got, " ") != strings.Join(c.want, " ") {
			t.Errorf("%s: refused by %v, want %v", c.name, got, c.want)
		}
		said := strings.Join(s.Unknown, "\n")
		if !strings.Contains(said, c.said) || (c.said == "") != (said == "") {
			t.Errorf("%s: unknown is %q, want %q", c.name, said, c.said)
		}
	}
}

func TestKnownVersionsHaveNoVersionNotice(t *testing.T) {
	for _, v := range append(CheckedVersions(), "1.16.0", "v1.17.4", "1.19.5", "1.20.99") {
		_, notices := Effective(base(v, nil))
		if n := noticeByID(notices, "W16"); n.ID != "" {
			t.Errorf("%s: %s", v, n.Message)
		}
	}
}

func TestNoVersionIsWhatReleasesAgreeOn(t *testing.T) {
	for _, c := range []struct {
		name   string
		values map[string]string
		want   snapshot.Tri
	}{
		{"all start", nil, snapshot.Yes},
		{"all refuse", map[string]string{"enable-ipv4": "false", "enable-ipv6": "false"}, snapshot.No},
		{"1.18 refuses", map[string]string{"enable-bpf-masquerade": "true", "kube-proxy-replacement": "false"}, snapshot.Unknown},
		{"1.20 refuses", map[string]string{"enable-nat46x64-gateway": "true"}, snapshot.Unknown},
	} {
		s := CheckStart(base("", c.values))
		if s.Starts != c.want {
			t.Errorf("%s: %s %v, want %s", c.name, s.Starts, s.Unknown, c.want)
		}
	}
	_, notices := Effective(base("", nil))
	if n := noticeByID(notices, "W16"); !strings.Contains(n.Message, "1.18 are assumed") {
		t.Errorf("no notice that the version is assumed: %v", notices)
	}
}
