package report

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

func diff(t testing.TB, p *v1alpha1.Plan, opt DiffOptions) string {
	t.Helper()
	var b bytes.Buffer
	if err := Diff(&b, p, opt); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestDiffGolden(t *testing.T) {
	p := incident(t)
	golden(t, "incident.diff", []byte(diff(t, p, DiffOptions{})))
	golden(t, "incident-color.diff", []byte(diff(t, p, DiffOptions{Color: true})))
	golden(t, "incident-masq-agent.diff", []byte(diff(t, p, DiffOptions{Candidate: "use-ip-masq-agent"})))
}

func TestDiffIsExactWithoutATerminal(t *testing.T) {
	p := incident(t)
	for _, s := range []string{"-a\r\n+b\u202e\n", "no final break", "\x1b[31m", "+password: hunter2\n"} {
		p.Candidates[0].Diff = s
		if got := diff(t, p, DiffOptions{}); got != s {
			t.Errorf("got %q, want the bytes %q", got, s)
		}
	}
	p.Candidates[0].Diff = "-a\r\n+\x1b[2J\u202e\n"
	if got, want := diff(t, p, DiffOptions{Terminal: true}), "-a\\r\n+\\x1b[2J\\u202e\n"; got != want {
		t.Errorf("on a terminal: got %q, want %q", got, want)
	}
}

func TestDiffWithoutACandidate(t *testing.T) {
	if got := diff(t, healthy(incident(t)), DiffOptions{}); got != "" {
		t.Errorf("no finding gives %q", got)
	}
	if got := diff(t, abstained(incident(t)), DiffOptions{}); got != "" {
		t.Errorf("abstained gives %q", got)
	}
	err := Diff(&bytes.Buffer{}, incident(t), DiffOptions{Candidate: "no-such\x1b"})
	if err == nil || !strings.Contains(err.Error(), "widen-native-routing-cidr-aligned") || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("wrong id: got error %v", err)
	}
	err = Diff(&bytes.Buffer{}, healthy(incident(t)), DiffOptions{Candidate: "x"})
	if err == nil || !strings.Contains(err.Error(), "proposes none") {
		t.Errorf("id without candidates: got error %v", err)
	}
}

// TestDiffApplies holds that the printed diff is one that git takes.
func TestDiffApplies(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatalf("git is missing: %v", err)
	}
	dir := t.TempDir()
	p := incident(t)
	file := filepath.Join(dir, filepath.FromSlash(p.Candidates[0].Changes[0].File))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	before := strings.Repeat("# filler\n", 48) + `
# Native routing CIDRs
ipv4NativeRoutingCIDR: 10.101.0.0/16
ipv6NativeRoutingCIDR: fd00:101::/48

# Pod CIDRs (allocated per-node as /80 subnets from /60)
# IPv6: fd00:101:224::/60 (16 nodes max, /80 per node)
`
	if err := os.WriteFile(file, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	apply := exec.Command(git, "apply", "-")
	apply.Dir = dir
	apply.Stdin = strings.NewReader(diff(t, p, DiffOptions{}))
	if out, err := apply.CombinedOutput(); err != nil {
		t.Fatalf("git apply: %v\n%s", err, out)
	}
	after, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Replace(before, "/48\n", "/38\n", 1); string(after) != want {
		t.Errorf("after git apply:\n%s", after)
	}
}

func TestDiffLinesForAPage(t *testing.T) {
	lines := diffLines("+a\n-b\x1b\n password: hunter2\n+c\n+d\n", 3)
	want := []string{"+a", `-b\x1b`, " password: [redacted]", "… and 2 more (see -o json)"}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", lines, want)
	}
	if diffLines("", 3) != nil {
		t.Error("an empty diff has lines")
	}
}

func TestChoose(t *testing.T) {
	p := incident(t)
	chosen, err := Choose(p, "use-ip-masq-agent")
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, c := range chosen.Candidates {
		ids = append(ids, c.ID)
	}
	if got, want := strings.Join(ids, " "), "use-ip-masq-agent widen-native-routing-cidr widen-native-routing-cidr-aligned set-native-routing-cidr-to-pods"; got != want {
		t.Errorf("order %s, want %s", got, want)
	}
	if !strings.HasPrefix(chosen.Order, "chosen by hand: use-ip-masq-agent") {
		t.Errorf("order says %q", chosen.Order)
	}
	if p.Candidates[0].ID != "widen-native-routing-cidr" || p.Order == chosen.Order {
		t.Error("the plan itself was changed")
	}
	if got := text(t, chosen, TextOptions{}); !strings.Contains(got, "ipMasqAgent.enabled: (not set) → true") {
		t.Error("the text does not show the chosen candidate's change")
	}
	for _, id := range []string{"", "widen-native-routing-cidr"} {
		same, err := Choose(p, id)
		if err != nil || same.Order != p.Order || same.Candidates[0].ID != p.Candidates[0].ID {
			t.Errorf("Choose(%q) changed the order: %v", id, err)
		}
	}
}
