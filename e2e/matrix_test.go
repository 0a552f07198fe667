//go:build e2e && linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	agent "github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/e2e/matrix"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/internal/testbed/cilium"
)

// recordDir is where the matrix keeps what was measured.
var recordDir = filepath.Join("matrix", "testdata")

// TestMatrix sends the flows of the matrix on real agents: all of them with
// REMEDIATE_FULL=1, else those of its core. REMEDIATE_CILIUM=1.19.6 has agents of that
// version, with the configurations that its own chart renders, and a record of their
// own. REMEDIATE_UPDATE=all writes down what was seen, REMEDIATE_UPDATE=missing runs only
// what was never measured; docs/fidelity.md is made of that by
// go test ./e2e/matrix -update.
func TestMatrix(t *testing.T) {
	release, version := matrixRelease(t)
	record, err := matrix.ReadRecord(recordDir, version)
	if err != nil {
		t.Fatal(err)
	}
	full := os.Getenv("REMEDIATE_FULL") == "1"
	var all tally
	for _, b := range matrix.BedsOf(version) {
		b.Stages = slices.DeleteFunc(b.Stages, func(s matrix.Stage) bool {
			return !full && !s.Core || os.Getenv(updateMark) == "missing" && measured(t, record, b.Name, s)
		})
		if len(b.Stages) == 0 {
			continue
		}
		t.Run(b.Name, func(t *testing.T) {
			r := &bedRun{Bed: b, release: release, record: record, tally: &all}
			r.run(t)
		})
	}
	t.Logf("%d rows: %d agree, %d disagree, %d left open, %d changed since they were measured", all.rows, all.rows-all.wrong-all.open, all.wrong, all.open, all.changed)
}

// updateMark has the run write down what was seen: all, or missing.
const updateMark = "REMEDIATE_UPDATE"

// matrixRelease is the release that REMEDIATE_CILIUM asks for, "1.19", and its version,
// "1.19.6"; both are empty for the one that the whole matrix is measured on.
func matrixRelease(t *testing.T) (release, version string) {
	t.Helper()
	want := os.Getenv(ciliumMark)
	releases, err := testbed.CiliumReleases()
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, release := range append([]string{""}, releases...) {
		_, version := testbed.CiliumSource(t, release)
		switch {
		case want != "" && want != version && want != release:
		case release == "":
			return "", ""
		default:
			return release, version
		}
		known = append(known, version)
	}
	t.Fatalf("%s=%s: agents are built of %s", ciliumMark, want, strings.Join(known, ", "))
	return "", ""
}

// ciliumMark chooses the version of the agents.
const ciliumMark = "REMEDIATE_CILIUM"

// measured says whether all rows of a stage are in the record.
func measured(t *testing.T, record *matrix.Record, bed string, s matrix.Stage) bool {
	t.Helper()
	flows, err := matrix.ParseFlows(s.Flows...)
	if err != nil {
		t.Fatal(err)
	}
	return !slices.ContainsFunc(flows, func(f matrix.Flow) bool {
		_, ok := record.Seen[matrix.Row{Bed: bed, Stage: s.Name, Flow: f.String()}.Name()]
		return !ok
	})
}

type tally struct{ rows, wrong, open, changed int }

// bedRun is a bed with real agents.
type bedRun struct {
	matrix.Bed
	*cilium.Cluster
	release string
	record  *matrix.Record
	tally   *tally

	ends     map[string]*cilium.Host
	services map[string]*cilium.Service
	running  [matrix.Nodes]string
	policies []string
	unwire   func() // nil while the wire carries everything
	api      string
}

func (r *bedRun) run(t *testing.T) {
	r.start(t)
	for i := range r.Stages {
		st := &r.Stages[i]
		r.enter(t, st)
		r.send(t, st)
		r.write(t)
	}
}

// write writes the record when that is asked for.
func (r *bedRun) write(t *testing.T) {
	t.Helper()
	if os.Getenv(updateMark) == "" {
		return
	}
	kernel, err := kernelRelease()
	if err != nil {
		t.Fatal(err)
	}
	r.record.Machine = matrix.Machine{Cilium: r.Version, Kernel: kernel}
	if err := r.record.Write(recordDir, matrix.BedsOf(r.record.Version)); err != nil {
		t.Fatal(err)
	}
}

// kernelRelease is "6.18" of "6.18.5-amd64".
func kernelRelease() (string, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", err
	}
	parts := strings.Split(unix.ByteSliceToString(name.Release[:]), ".")
	return strings.Join(parts[:min(2, len(parts))], "."), nil
}

// send sends a stage's flows and holds the model, and what was measured before,
// against what became of them.
func (r *bedRun) send(t *testing.T, st *matrix.Stage) {
	t.Helper()
	flows, err := matrix.ParseFlows(st.Flows...)
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen, err := r.SendAll(t.Context(), r.flows(t, s, flows)...)
	if err != nil {
		t.Fatal(err)
	}
	configs := map[string]agent.Config{}
	for _, n := range r.Nodes {
		configs[n.Name] = n.Config()
	}
	model, err := r.Bed.Model(st, s, configs)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range flows {
		traced, err := matrix.Traced(s, f)
		if err != nil {
			t.Fatal(err)
		}
		row := matrix.Row{Bed: r.Name, Stage: st.Name, Flow: f.String(), Seen: outcome(f, seen[i]), Predicted: matrix.Predicted(model.Trace(traced))}
		r.judge(t, row, seen[i])
	}
	r.Log(t, fmt.Sprintf("%s: %d flows", st.Name, len(flows)))
}

// judge compares a row.
func (r *bedRun) judge(t *testing.T, row matrix.Row, o cilium.Observation) {
	t.Helper()
	r.tally.rows++
	wrong, open := matrix.Diff(row.Seen, row.Predicted)
	if len(open) > 0 && len(wrong) == 0 {
		r.tally.open++
		t.Logf("%s: open: %s", row.Name(), strings.Join(open, "; "))
	}
	if len(wrong) > 0 {
		r.tally.wrong++
		t.Errorf("%s: %s; %s\n%s", row.Name(), strings.Join(wrong, "; "), o.Error, strings.Join(o.Evidence, "\n"))
	}
	if os.Getenv(updateMark) != "" {
		r.record.Seen[row.Name()] = row.Seen
		return
	}
	before, ok := r.record.Seen[row.Name()]
	if changed := matrix.Changed(before, row.Seen); !ok || len(changed) > 0 {
		r.tally.changed++
		t.Errorf("%s: %s; if it is so, run it with REMEDIATE_UPDATE=all", row.Name(), strings.Join(append(changed, map[bool]string{false: "never measured"}[ok]), "; "))
	}
}

// flows are the matrix's as the testbed sends them.
func (r *bedRun) flows(t *testing.T, s *snapshot.Snapshot, flows []matrix.Flow) []cilium.Flow {
	t.Helper()
	var out []cilium.Flow
	for _, f := range flows {
		c := cilium.Flow{From: r.ends[f.From], To: r.ends[f.To], Family: f.Family, Protocol: f.Protocol, Port: f.Port, Size: f.Size}
		if svc := r.services[f.To]; svc != nil {
			c.Service, c.To = svc, svc.Backends[0].Host
		}
		if c.To == nil { // another address of a node
			_, number, _ := strings.Cut(f.To, "-")
			c.To = r.ends["node-"+number]
			traced, err := matrix.Traced(s, f)
			if err != nil {
				t.Fatal(err)
			}
			c.Addr = traced.To.Addr
		}
		out = append(out, c)
	}
	return out
}

// outcome is what was seen, in the matrix's words. Of a packet that did not get as far
// as the receiver's node there is no source and no identity there; what is dropped on a
// pod's own node is captured all the same when that node is the receiver.
func outcome(f matrix.Flow, o cilium.Observation) matrix.Outcome {
	nowhere := !o.Arrived && o.DroppedAt == "" || o.DroppedAt == matrix.NodeOf(f.From)
	if o.Egress == "deny" || o.Verdict == "" && nowhere {
		o.Source, o.Identity = "", ""
		if o.MasqueradeBy == agent.MasqueradeOff {
			o.MasqueradeBy = ""
		}
	}

	out := matrix.Outcome{
		Result: matrix.NotReached, Source: string(o.Source), Identity: o.Identity,
		Verdict: o.Verdict, Egress: o.Egress, Drop: o.DropReason, Masquerade: string(o.MasqueradeBy),
	}
	if o.Result == cilium.Reached {
		out.Result = matrix.Reached
	}
	return out
}
