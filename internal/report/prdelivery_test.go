package report

import (
	"strings"
	"testing"
)

// The way past a Flux that is cut off is folded, and goes before the rest does
// when the body is too long.
func TestPullRequestDelivery(t *testing.T) {
	const heading = "Flux cannot bring this change by itself"
	tests := []struct {
		name, delivery string
		has, hasNot    []string
	}{
		{"none", "", nil, []string{heading}},
		{"some", "run this\n\n```sh\nhelm upgrade\n```\n", []string{"<details><summary>" + heading, "helm upgrade"}, nil},
		{"too long", strings.Repeat("run this\n", 10_000), []string{heading, "left out"}, []string{"run this"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := incident(t)
			_, body, err := PullRequest(p, PullRequestOptions{Delivery: tt.delivery})
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range tt.has {
				if !strings.Contains(body, part) {
					t.Errorf("no %q in\n%s", part, body)
				}
			}
			for _, part := range tt.hasNot {
				if strings.Contains(body, part) {
					t.Errorf("%q in the body", part)
				}
			}
		})
	}
}
