package natural

import (
	"slices"
	"strings"
	"testing"
)

func TestCompare(t *testing.T) {
	tests := [][]string{
		{"node-1", "node-2", "node-10", "node-100"},
		{"", "a", "a1", "a1b", "a2", "ab"},
		{"rack-2-node-9", "rack-2-node-10", "rack-10-node-1"},
		{"ip-10-0-9-1.internal", "ip-10-0-10-1.internal"},
		{"n001", "n01", "n1", "n2"},
		{"9", "99999999999999999999999999999998", "99999999999999999999999999999999", "x"},
		{"node", "node-1"},
		{"1node", "node"},
		{"a-b", "a1"},
	}
	for _, want := range tests {
		for i, a := range want {
			for j, b := range want {
				if got, sign := Compare(a, b), i-j; got*sign < 0 || (got == 0) != (sign == 0) {
					t.Errorf("Compare(%q, %q) is %d", a, b, got)
				}
			}
		}
		got := slices.Clone(want)
		slices.Reverse(got)
		slices.SortFunc(got, Compare)
		if !slices.Equal(got, want) {
			t.Errorf("sorted %q", got)
		}
	}
}

// An order that contradicts itself would let a sort end anywhere.
func FuzzCompare(f *testing.F) {
	f.Add("node-2", "node-10", "node-02")
	f.Add("1a", "a1", "01a")
	f.Add("a0", "a00", "a")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		if Compare(a, b) != -Compare(b, a) || (Compare(a, b) == 0) != (a == b) {
			t.Errorf("%q and %q: %d, %d", a, b, Compare(a, b), Compare(b, a))
		}
		if Compare(a, b) < 0 && Compare(b, c) < 0 && Compare(a, c) >= 0 {
			t.Errorf("%q < %q < %q, and %s", a, b, c, strings.Join([]string{a, c}, " is not below "))
		}
	})
}
