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

// A refusal by the rules of another release proves nothing.
func TestRefusalOfUnmodelledVersionIsUnknown(t *testing.T) {
	s := CheckStart(base("1.21.0", map[string]string{"routing-mode": "direct", "auto-direct-node-routes": "false"}))
	if s.Starts != snapshot.Unknown || s.First() == nil || s.First().ID != "V10" {
		t.Errorf("got %s with %v, want unknown and the rule that would refuse", s.Starts, s.Refusals)
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
