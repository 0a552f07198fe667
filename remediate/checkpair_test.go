package remediate

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Releases are written cluster/path/name@file#number here.
func keysOfTest() (exact, loose []func(string) string) {
	without := func(cut string) func(string) string {
		return func(r string) string { head, _, _ := strings.Cut(r, cut); return head }
	}
	name := func(r string) string {
		r = without("@")(r)
		return r[strings.LastIndex(r, "/")+1:]
	}
	return []func(string) string{without("#"), without("@")}, []func(string) string{name}
}

func TestPairUp(t *testing.T) {
	tests := []struct {
		name       string
		base, head []string
		want       string
	}{
		{"nothing", nil, nil, ""},
		{"the same", []string{"a/p/cilium@f#1"}, []string{"a/p/cilium@f#2"}, "a/p/cilium@f#1>a/p/cilium@f#2"},
		{"moved", []string{"a/p/cilium@f#1"}, []string{"b/q/cilium@g#2"}, "a/p/cilium@f#1>b/q/cilium@g#2"},
		{"a new one", []string{"a/p/cilium@f#1"}, []string{"a/p/cilium@f#2", "b/p/cilium@f#3"}, "a/p/cilium@f#1>a/p/cilium@f#2 >b/p/cilium@f#3"},
		{"one goes", []string{"a/p/cilium@f#1", "b/p/cilium@f#2"}, []string{"b/p/cilium@f#3"}, "b/p/cilium@f#2>b/p/cilium@f#3 a/p/cilium@f#1>"},
		{"alike are paired in order", []string{"a/p/cilium@f#1", "a/p/cilium@f#2"}, []string{"a/p/cilium@f#3", "a/p/cilium@f#4"},
			"a/p/cilium@f#1>a/p/cilium@f#3 a/p/cilium@f#2>a/p/cilium@f#4"},
		{"alike but for the file", []string{"a/p/cilium@f#1", "a/p/cilium@g#2"}, []string{"a/p/cilium@g#3", "a/p/cilium@f#4"},
			"a/p/cilium@g#2>a/p/cilium@g#3 a/p/cilium@f#1>a/p/cilium@f#4"},
		{"several clusters renamed at once are not guessed", []string{"a/p/cilium@f#1", "b/p/cilium@f#2"}, []string{"c/p/cilium@f#3", "d/p/cilium@f#4"},
			">c/p/cilium@f#3 >d/p/cilium@f#4 a/p/cilium@f#1> b/p/cilium@f#2>"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			exact, loose := keysOfTest()
			var got []string
			for _, p := range pairUp(test.base, test.head, exact, loose) {
				got = append(got, p[0]+">"+p[1])
			}
			if s := strings.Join(got, " "); s != test.want {
				t.Errorf("got  %s\nwant %s", s, test.want)
			}
		})
	}
}

// Everything is in exactly one pair, and a state compared with itself is paired
// with itself, however many releases look alike.
func TestPairUpLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		some := func(label string) []string {
			names := rapid.SliceOfN(rapid.SampledFrom([]string{"a/p/x@f", "a/p/x@g", "a/q/x@f", "b/p/x@f", "b/p/y@f"}), 0, 6).Draw(t, label)
			for i := range names {
				names[i] += fmt.Sprintf("#%s%d", label, i)
			}
			return names
		}
		base, head := some("base"), some("head")
		exact, loose := keysOfTest()
		seen := map[string]int{}
		for _, p := range pairUp(base, head, exact, loose) {
			seen[p[0]]++
			seen[p[1]]++
		}
		for _, r := range append(base, head...) {
			if seen[r] != 1 {
				t.Fatalf("%s is in %d pairs", r, seen[r])
			}
		}
		var itself [][2]string
		for _, h := range head {
			itself = append(itself, [2]string{h, h})
		}
		if got := pairUp(head, head, exact, loose); !reflect.DeepEqual(got, itself) {
			t.Fatalf("%v with itself: %v", head, got)
		}
	})
}
