package search

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/remediate-dev/remediate/e2e/matrix"
)

// Found is a disagreement as it is written down: what a row of e2e/matrix takes.
type Found struct {
	// Kind is the same for disagreements that look alike.
	Kind string `json:"kind"`
	// Seed and Bed draw it again.
	Seed uint64 `json:"seed"`
	Bed  uint64 `json:"bed"`
	// Shrunk: what is not needed was taken away.
	Shrunk   bool       `json:"shrunk"`
	Topology matrix.Bed `json:"topology"`
	// Configs are each node's Helm values over [matrix.Base], in YAML.
	Configs   []string `json:"configs"`
	APIServer string   `json:"apiServer,omitempty"`
	// Policies in YAML.
	Policies []string `json:"policies,omitempty"`
	Flow     string   `json:"flow"`
	// Seen is what the agents did, and Predicted what the model says.
	Seen      matrix.Outcome `json:"seen"`
	Predicted matrix.Outcome `json:"predicted"`
	// Why the model says so, and lines of agents' monitors.
	Why      string   `json:"why,omitempty"`
	Evidence []string `json:"evidence,omitempty"`
}

// Kind names disagreements that look alike: the ends' kinds, the family, and the
// columns with their values.
func Kind(f matrix.Flow, wrong []string) string {
	where := "on another node"
	if matrix.NodeOf(f.From) == matrix.NodeOf(f.To) {
		where = "on the same node"
	}
	size := ""
	if f.Size > 0 {
		size = " " + f.Protocol + " with a size"
	}
	return fmt.Sprintf("%s%s from %s to %s %s: %s", f.Family, size, endKind(f.From), endKind(f.To), where, strings.Join(wrong, "; "))
}

// endKind is a pod, or what an end's name begins with.
func endKind(name string) string {
	kind := strings.TrimRight(name, "-0123456789")
	switch kind {
	case "a", "b", "c":
		return "pod"
	case "s":
		return "service"
	case "near", "wide", "far":
		return "outside"
	}
	return kind
}

// Describe fills in what of a disagreement its case says.
func (f *Found) Describe(c *Case) error {
	f.Topology, f.APIServer, f.Configs, f.Policies = c.Bed, c.APIServer, nil, nil
	for n := range c.Nodes {
		text, err := c.Config(n)
		if err != nil {
			return err
		}
		f.Configs = append(f.Configs, text)
	}
	for _, p := range c.Policies {
		text, err := p.YAML()
		if err != nil {
			return err
		}
		f.Policies = append(f.Policies, text)
	}
	return nil
}

// Line is the disagreement as a line of JSON.
func (f *Found) Line() (string, error) {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(f)
	return out.String(), err
}
