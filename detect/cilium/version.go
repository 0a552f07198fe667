package cilium

import (
	"strconv"
	"strings"
)

// Versions of Cilium that the model was held against: [CheckedVersions] ran on
// a real kernel, everything between [oldest] and [newest] follows from sources
// and release notes, everything else is unknown.
var (
	oldest = release{1, 16, 0}
	newest = release{1, 20, 0}
)

// CheckedVersions are the Cilium versions whose starts were measured.
func CheckedVersions() []string { return []string{"1.18.6", "1.19.6", "1.20.2"} }

// release is major, minor and patch of a version.
type release [3]int

// parseRelease reads "1.18.6", "v1.18.6", "1.18.6-rc.1" or "v1.18.6@sha256:…".
func parseRelease(s string) (release, bool) {
	s = strings.TrimPrefix(strings.TrimSpace(s), "v")
	if i := strings.IndexAny(s, "-+@"); i >= 0 {
		s = s[:i]
	}
	parts := strings.Split(s, ".")
	if len(parts) < 2 || len(parts) > 3 {
		return release{}, false
	}
	var r release
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 {
			return release{}, false
		}
		r[i] = n
	}
	return r, true
}

func (r release) less(o release) bool {
	for i := range r {
		if r[i] != o[i] {
			return r[i] < o[i]
		}
	}
	return false
}

// known says whether the model makes claims about the release at all.
func (r release) known() bool {
	return !r.less(oldest) && !release{newest[0], newest[1] + 1, 0}.lessOrEqual(r)
}

func (r release) lessOrEqual(o release) bool { return !o.less(r) }

// modelled is the release whose rules are used: the nearest known one, and
// 1.18 when nobody states a version.
func modelled(version string) release {
	r, ok := parseRelease(version)
	switch {
	case !ok:
		return release{1, 18, 6}
	case r.less(oldest):
		return oldest
	case !r.known():
		return newest
	}
	return r
}
