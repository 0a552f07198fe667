// Package natural orders names as people count: node-2 before node-10.
package natural

import (
	"cmp"
	"strings"
)

// Compare orders two names. Runs of digits count as numbers of any length; names
// that differ in leading zeros alone are ordered as text, so that only equal names
// compare as equal.
func Compare(a, b string) int {
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		n, m := digits(a[i:]), digits(b[j:])
		if n == "" || m == "" {
			if c := cmp.Compare(a[i], b[j]); c != 0 {
				return c
			}
			i, j = i+1, j+1
			continue
		}
		if c := number(n, m); c != 0 {
			return c
		}
		i, j = i+len(n), j+len(m)
	}
	return cmp.Or(cmp.Compare(len(a)-i, len(b)-j), cmp.Compare(a, b))
}

// digits are those that s begins with.
func digits(s string) string {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return s[:i]
		}
	}
	return s
}

func number(n, m string) int {
	n, m = strings.TrimLeft(n, "0"), strings.TrimLeft(m, "0")
	return cmp.Or(cmp.Compare(len(n), len(m)), cmp.Compare(n, m))
}
