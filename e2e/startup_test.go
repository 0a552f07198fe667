//go:build e2e && linux

package e2e

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/e2e/startup"
	"github.com/remediate-dev/remediate/internal/startcases"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/internal/testbed/cilium"
)

var startupOnly = flag.String("startup", "", "only try the start-up cases whose name matches this expression, of all")

// startupCases are those that this run is about.
func startupCases(t *testing.T) (cases []startup.Case, releases []string) {
	t.Helper()
	if os.Getenv("REMEDIATE_FULL") != "1" && *startupOnly == "" {
		return startup.Core(), []string{""}
	}
	others, err := testbed.CiliumReleases()
	if err != nil {
		t.Fatal(err)
	}
	only, err := regexp.Compile(*startupOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range startup.Cases() {
		if only.MatchString(c.Name()) {
			cases = append(cases, c)
		}
	}
	return cases, append([]string{""}, others...)
}

// TestStartup: real agents end with the message that the catalogue quotes, or start. With
// REMEDIATE_FULL=1 all cases are tried on all releases, else the core on one.
// REMEDIATE_UPDATE=all writes down what was seen, and REMEDIATE_UPDATE=missing tries and
// writes what is not written yet; docs/fidelity-startup.md is made of that by
// go test ./e2e/startup -update.
func TestStartup(t *testing.T) {
	cases, releases := startupCases(t)
	for _, release := range releases {
		_, version := testbed.CiliumSource(t, release)
		t.Run(version, func(t *testing.T) {
			record := startupRecord(t, version)
			run := newStartupRun(t, release, chosen(cases, record))
			run.all(t)
			if os.Getenv(updateMark) != "" {
				run.write(t, record)
			}
		})
	}
}

// startupNodes is how many agents start at the same time.
const startupNodes = 3

// startupRun is the start of one version's agents with all cases.
type startupRun struct {
	*cilium.Cluster
	machine startup.Machine
	cases   []startup.Case
	seen    []startup.Outcome
	next    chan int
	// operators: those of this version can be started.
	operators bool
}

func newStartupRun(t *testing.T, release string, cases []startup.Case) *startupRun {
	t.Helper()
	r := &startupRun{cases: cases, seen: make([]startup.Outcome, len(cases)), next: make(chan int, len(cases))}
	for i := range cases {
		r.next <- i
	}
	close(r.next)
	r.operators = testbed.CiliumOperator(release) && slices.ContainsFunc(cases, startup.Case.Operator)
	r.Cluster = cilium.Start(t, cilium.Options{Nodes: startupNodes, Release: release, Operator: r.operators, WithoutAgents: true})
	facts, err := r.Nodes[0].Facts()
	if err != nil {
		t.Fatal(err)
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	r.machine = startup.MachineOf(r.Version, fmt.Sprintf("%d.%d", major, minor), facts)
	return r
}

// all starts an agent with each case and says where the catalogue is wrong.
func (r *startupRun) all(t *testing.T) {
	t.Helper()
	errs := make([]error, len(r.Nodes))
	var wg sync.WaitGroup
	for i, n := range r.Nodes {
		wg.Go(func() { errs[i] = r.on(n) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	var started, refused, left int
	for i, o := range r.seen {
		switch {
		case o.Case == "":
			continue
		case o.NotTried != "":
			left++
		case o.Starts:
			started++
		default:
			refused++
		}
		if why := o.Wrong(r.cases[i].Expect(r.machine)); why != "" {
			t.Errorf("%s: %s", o.Case, why)
		}
	}
	r.Log(t, fmt.Sprintf("%d configurations started, %d were refused, %d were not tried", started, refused, left))
}

// on takes cases for one node, one after another.
func (r *startupRun) on(n *cilium.Node) error {
	// The algorithm, key and salt of RFC 4106 with AES-128.
	const key = "3+ rfc4106(gcm(aes)) 0123456789abcdef0123456789abcdef01234567 128\n"
	if err := n.WriteFile(startcases.IPsecKeyFile, key); err != nil {
		return err
	}
	var errs []error
	for i := range r.next {
		seen, err := r.one(n, r.cases[i])
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.cases[i].Name(), err))
			continue
		}
		r.seen[i] = seen
	}
	return errors.Join(errs...)
}

func (r *startupRun) one(n *cilium.Node, c startup.Case) (startup.Outcome, error) {
	out := startup.Outcome{Case: c.Name()}
	want := c.Expect(r.machine)
	switch {
	case want.Starts == snapshot.Yes && c.NeedsOperator():
		out.NotTried = "waits for a cloud"
	case c.Operator() && !r.operators:
		out.NotTried = "no operator"
	}
	if out.NotTried != "" {
		return out, nil
	}
	until := cilium.UntilComplete
	switch {
	case want.Starts == snapshot.No:
		until = cilium.UntilEnd
	case len(want.Datapath) > 0:
		until = cilium.UntilNoDatapath
	}
	var trial cilium.Trial
	var err error
	// An agent gives up a sysctl that a busy machine sets late, and tries it again later;
	// what fails for a rule's sake fails every time.
	for range 3 {
		trial, err = start(n, c, until)
		if err != nil || trial.NoDatapath == "" || len(want.Datapath) > 0 {
			break
		}
	}
	out.Starts, out.NoDatapath, out.Message, out.Cause = trial.Starts, trial.NoDatapath, trial.Message, trial.Cause
	return out, err
}

func start(n *cilium.Node, c startup.Case, until cilium.Until) (cilium.Trial, error) {
	switch {
	case c.Operator():
		return n.TryOperator(c.Values(), until)
	case c.Arg != "":
		return n.Try(c.Values(), until, c.Arg)
	}
	return n.Try(c.Values(), until)
}

var startupDir = filepath.Join("startup", "testdata")

// startupRecord is what was recorded of a version before.
func startupRecord(t *testing.T, version string) startup.Record {
	t.Helper()
	all, err := startup.Read(startupDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, old := range all {
		if old.Machine.Cilium == version {
			return old
		}
	}
	return startup.Record{Seen: map[string]startup.Outcome{}}
}

// chosen leaves out the cases that were recorded before, if only the others are asked for.
func chosen(cases []startup.Case, record startup.Record) []startup.Case {
	if os.Getenv(updateMark) != "missing" {
		return cases
	}
	return slices.DeleteFunc(slices.Clone(cases), func(c startup.Case) bool {
		_, ok := record.Seen[c.Name()]
		return ok
	})
}

// write lays what was seen over what was recorded before.
func (r *startupRun) write(t *testing.T, record startup.Record) {
	t.Helper()
	record.Machine = r.machine
	for _, o := range r.seen {
		if o.Case != "" {
			record.Seen[o.Case] = o
		}
	}
	if err := record.Write(startupDir); err != nil {
		t.Error(err)
	}
}
