package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/detect/probe"
)

const (
	// maxBinary is the budget of the binary in bytes, maxResident that of a running
	// probe in KiB.
	maxBinary   = 12 << 20
	maxResident = 16 << 10
)

// build makes the binary as it is released.
func build(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "remediate-probe")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w -X main.version=v0", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

func TestBinarySize(t *testing.T) {
	path := build(t)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > maxBinary {
		t.Errorf("the binary has %d bytes, at most %d", info.Size(), maxBinary)
	}
	t.Logf("%.1f MiB", float64(info.Size())/(1<<20))
	if out, err := exec.Command(path, "version").Output(); err != nil || string(out) != "remediate-probe v0\n" {
		t.Errorf("version: %q, %v", out, err)
	}
}

// process is a running probe.
type process struct {
	cmd *exec.Cmd
	in  *bufio.Scanner
	err bytes.Buffer

	mu    sync.Mutex
	lines []probe.Line
}

func (p *process) follow(t testing.TB, stdout io.Reader) {
	p.in = bufio.NewScanner(stdout)
	p.in.Buffer(nil, probe.MaxLine+1)
	for p.in.Scan() {
		var l probe.Line
		if err := json.Unmarshal(p.in.Bytes(), &l); err != nil {
			t.Errorf("%q is no line: %v", p.in.Text(), err)
		}
		p.mu.Lock()
		p.lines = append(p.lines, l)
		p.mu.Unlock()
	}
}

// tally is how often each outcome of exchanges with pods was counted.
func (p *process) tally() (answered, lost int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lines {
		for _, n := range l.Tallies {
			if n.Via == mesh.ViaPodIP {
				answered, lost = answered+n.OK+n.Masked, lost+n.Lost
			}
		}
	}
	return answered, lost
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// resident is the most memory, in KiB, that the process ever had in RAM.
func (p *process) resident(t testing.TB) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	m := highWater.FindSubmatch(b)
	if m == nil {
		t.Fatal("no VmHWM in the process's status")
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func start(t testing.TB, binary, dir string, m mesh.Member) *process {
	t.Helper()
	p := &process{cmd: exec.Command(binary, "--members", dir, "--key", filepath.Join(dir, "key"))}
	p.cmd.Env = []string{"NODE_NAME=" + m.Node, "POD_NAME=" + m.Open.Pod, "POD_NAMESPACE=" + m.Open.Namespace, "POD_IPS=" + m.Open.IPs[0].String()}
	p.cmd.Stderr = &p.err
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	go p.follow(t, stdout)
	return p
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 600 {
		if ok() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("a minute later still not: %s", what)
}

// TestProbesOnLoopback runs real probes of a mesh of n members of which three live:
// they reach each other, the others' absence makes them look into it as fast as they
// may, and they stay within their memory.
func TestProbesOnLoopback(t *testing.T) {
	binary := build(t)
	for host, n := range map[byte]int{10: 100, 11: 5000} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			onLoopback(t, binary, loopback(n, host))
		})
	}
}

func onLoopback(t *testing.T, binary string, m mesh.Membership) {
	dir := t.TempDir()
	fill(t, dir, m)
	// Three that are neighbours in the ring, so that they meet in any round's peers.
	var alive []*process
	order := mesh.NewRing(m).Nodes()
	for _, member := range m.Members {
		if member.Node == order[0] || member.Node == order[1] || member.Node == order[2] {
			alive = append(alive, start(t, binary, dir, member))
		}
	}
	for _, p := range alive {
		eventually(t, "an exchange and a failure are counted", func() bool {
			answered, lost := p.tally()
			return answered > 0 && lost > 10
		})
		if got := p.resident(t); got > maxResident {
			t.Errorf("%d KiB resident, at most %d", got, maxResident)
		} else {
			t.Logf("%d members: %d KiB resident at most", len(m.Members), got)
		}
	}
	hears(t, m.Members, order[0])
	for _, p := range alive {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := p.cmd.Wait(); err != nil || p.err.Len() > 0 {
			t.Errorf("ended by SIGTERM: %v, %s", err, &p.err)
		}
	}
}

// hears asks the probe of a node for its report, over the direct path.
func hears(t *testing.T, members []mesh.Member, node string) {
	t.Helper()
	i := slices.IndexFunc(members, func(m mesh.Member) bool { return m.Node == node })
	keys, err := probe.NewKeyring(bytes.Repeat([]byte("k"), 32))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	report, err := probe.FetchReport(t.Context(), client, netip.AddrPortFrom(members[i].Open.IPs[0], mesh.HTTPPort), keys, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var first probe.Line
	if err := json.Unmarshal(report[:bytes.IndexByte(report, '\n')], &first); err != nil || first.From.Node != node || first.Seq != 1 {
		t.Errorf("the report of %s begins with %+v, %v", node, first, err)
	}
}

// The guarded target answers twice: as itself, and at the Service's backend ports as
// the open target that it is there.
func TestGuardedIsBehindTheService(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, loopback(1, 13))
	keys, err := probe.NewKeyring(bytes.Repeat([]byte("k"), 32))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int)
	go func() {
		args := []string{"--target", "guarded", "--members", dir, "--key", filepath.Join(dir, "key")}
		done <- execute(ctx, args, pod("POD_IPS", "127.77.9.13"), io.Discard, io.Discard)
	}()
	p := &probe.Prober{Keys: keys}
	for _, tt := range []struct {
		protocol, target string
		port             int
	}{
		{mesh.TCP, "guarded", mesh.Port}, {mesh.UDP, "guarded", mesh.Port}, {mesh.HTTP, "guarded", mesh.HTTPPort},
		{mesh.TCP, "open", mesh.BackendPort}, {mesh.UDP, "open", mesh.BackendPort}, {mesh.HTTP, "open", mesh.BackendHTTPPort},
	} {
		c := mesh.Check{Via: mesh.ViaPodIP, Family: "IPv4", Protocol: tt.protocol, Target: tt.target}
		c.To = v1alpha1.Endpoint{Namespace: "remediate-probe", Pod: "probe-1", IP: "127.77.9.13", Port: tt.port}
		eventually(t, fmt.Sprintf("%s port %d answers as %s", tt.protocol, tt.port, tt.target), func() bool {
			return p.Do(t.Context(), c).Outcome == v1alpha1.OutcomeOK
		})
	}
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// fill writes what the kubelet would: the membership and the key.
func fill(t testing.TB, dir string, m mesh.Membership) {
	t.Helper()
	shards, err := mesh.Encode(m, 0)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"key": bytes.Repeat([]byte("k"), 32)}
	for i, b := range shards {
		files[mesh.ShardName(i)] = b
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// loopback are n members with addresses of the loopback device that end in host.
func loopback(n int, host byte) mesh.Membership {
	m := mesh.Membership{Version: 1}
	for i := range n {
		ip := func(net int) []netip.Addr {
			return []netip.Addr{netip.AddrFrom4([4]byte{127, byte(net + i>>8), byte(i), host})}
		}
		m.Members = append(m.Members, mesh.Member{
			Node: fmt.Sprintf("node-%d", i), Zone: fmt.Sprintf("rack-%d", i%8),
			Open:    &mesh.Target{Namespace: "remediate-probe", Pod: fmt.Sprintf("remediate-probe-%05d", i), IPs: ip(77)},
			Guarded: &mesh.Target{Namespace: "remediate-probe", Pod: fmt.Sprintf("remediate-probe-guarded-%05d", i), IPs: ip(150)},
			NodeIPs: ip(220),
		})
	}
	return m
}

// BenchmarkProbe runs twelve real probes that reach each other on loopback for half
// a minute, with every line that they can have to write: on loopback each sees
// another source than the probe's own address. It reports one probe's share of a
// core and its memory.
func BenchmarkProbe(b *testing.B) {
	binary, dir, m := build(b), b.TempDir(), loopback(12, 12)
	for i := range m.Members {
		m.Members[i].Guarded = nil
	}
	fill(b, dir, m)
	var alive []*process
	for _, member := range m.Members {
		alive = append(alive, start(b, binary, dir, member))
	}
	time.Sleep(15 * time.Second) // the first failures' differential is over
	const span = 30 * time.Second
	used, resident := 0, 0
	for _, p := range alive {
		used -= p.ticks(b)
	}
	time.Sleep(span)
	for _, p := range alive {
		used += p.ticks(b)
		resident = max(resident, p.resident(b))
	}
	b.ReportMetric(float64(used)/userHz/span.Seconds()/float64(len(alive))*100, "%cpu")
	b.ReportMetric(float64(resident)/1024, "MiB")
	b.ReportMetric(0, "ns/op")
}

// userHz is the unit of times in /proc, fixed by the kernel's interface.
const userHz = 100

// ticks is the CPU time that the process has had, in 1/100 s.
func (p *process) ticks(t testing.TB) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	sum := 0
	for _, f := range fields[11:13] { // utime and stime
		n, err := strconv.Atoi(string(f))
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}
