package plan

import (
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// Flows walks the same flows under the configurations of two states, with the
// facts of the later one. Where no node is known two are assumed, as for a
// candidate's proof. It is an error when the datapath cannot be modelled.
func Flows(before, after *signature.Input) (datapath.Delta, error) {
	either := *after
	either.Settings.IPv4 = before.Settings.IPv4 || after.Settings.IPv4
	either.Settings.IPv6 = before.Settings.IPv6 || after.Settings.IPv6
	in := after.ModelInput
	s, assumed := withAssumedNodes(&either)
	if in.Snapshot = s; assumed {
		in.Topology.SameSegment = func(a, b string) snapshot.Tri { return snapshot.Yes }
	}
	now, err := datapath.New(in)
	if err != nil {
		return datapath.Delta{}, err
	}
	in.Config, in.PerNode = before.Config, before.ModelInput.PerNode
	was, err := datapath.New(in)
	if err != nil {
		return datapath.Delta{}, err
	}
	return datapath.CompareModels(was, now, nil), nil
}
