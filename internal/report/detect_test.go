package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

func detectText(t testing.TB, d *Detection, opt TextOptions) string {
	t.Helper()
	var b bytes.Buffer
	if err := DetectText(&b, d, opt); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func nodes(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("node-%d", i+1))
	}
	return out
}

// gridOf is a matrix in which each cell is what mark says.
func gridOf(title string, n int, mark func(from, to int) Mark) Grid {
	g := Square(title, nodes(n))
	for i := range n {
		for j := range n {
			g.Cells[i][j] = mark(i, j)
		}
	}
	return g
}

func well(int, int) Mark { return MarkWell }

func masquerading(from, to int) Mark {
	if from == to {
		return MarkWell
	}
	return MarkMasked
}

// zoo has each mark once, and cells that nobody filled.
func zoo() Detection {
	g := Square("IPv4 · from pods (rows) to pods (columns)", nodes(4))
	for i, m := range marks {
		g.Cells[i/4][i%4] = m.mark
	}
	return Detection{
		Nodes: 4, Heard: 3, Probes: 4, Took: 29400 * time.Millisecond, Grids: []Grid{g},
		Result: v1alpha1.DetectResult{
			Pending:    []v1alpha1.Finding{{Signature: "packet-loss", Summary: "3 of 40 exchanges were lost", Evidence: []v1alpha1.Evidence{{Text: "TCP from a to b: Timeout"}}}},
			NotChecked: []string{"what node-4 experiences: its probe does not run", "IPv6 ICMP PodIP: no unprivileged ping sockets (12)"},
		},
	}
}

func detections() map[string]Detection {
	service := Grid{Title: "each node · services, names and its own pods", Rows: nodes(7), Columns: []string{"dns v4", "dns v6", "service v6"}}
	for i := range 7 {
		service.Cells = append(service.Cells, []Mark{MarkWell, MarkUnknown, []Mark{MarkWell, MarkLost, MarkSome}[i%3]})
	}
	finding := v1alpha1.Finding{
		Signature: "pod-source-masqueraded", Severity: v1alpha1.SeverityCritical, Confidence: v1alpha1.ConfidenceConfirmed,
		Summary:  "IPv6 packets of pods arrive on other nodes with the node's address",
		Evidence: []v1alpha1.Evidence{{Kind: "probe", Text: "UDP from node-1 to node-2: seen with fd00::1", Source: "probe on node-1"}},
	}
	effect := finding
	effect.Signature, effect.CausedBy = "flux-is-a-victim", finding.Signature
	return map[string]Detection{
		"detect-1": {Nodes: 1, Heard: 1, Probes: 1, Took: 30 * time.Second, Grids: []Grid{gridOf("IPv4 · pods", 1, well)}},
		"detect-7": {Nodes: 7, Heard: 7, Probes: 7, Took: 8 * time.Second,
			Grids:  []Grid{gridOf("IPv6 · from pods (rows) to pods (columns)", 7, masquerading), gridOf("IPv4 · from pods (rows) to pods (columns)", 7, well), service},
			Result: v1alpha1.DetectResult{Findings: []v1alpha1.Finding{finding, effect}},
			Next:   "remediate explain pod-source-masqueraded"},
		"detect-50": {Nodes: 50, Heard: 50, Probes: 50, Took: 30 * time.Second,
			Grids: []Grid{gridOf("IPv6 · from pods (rows) to pods (columns)", 50, func(from, to int) Mark {
				if from == 11 || to == 11 {
					return MarkLost
				}
				return MarkWell
			})}},
		"detect-200": {Nodes: 200, Heard: 200, Probes: 200, Took: 30 * time.Second,
			Grids: []Grid{gridOf("IPv6 · from pods (rows) to pods (columns)", 200, func(from, to int) Mark {
				if from == 150 && to == 199 {
					return MarkGuarded
				}
				return MarkUnknown
			})}},
		"detect-zoo":     zoo(),
		"detect-passive": {Nodes: 3, Result: v1alpha1.DetectResult{NotChecked: []string{"what pods experience now: no probes were asked"}}},
	}
}

func TestDetectGolden(t *testing.T) {
	for name, d := range detections() {
		t.Run(name, func(t *testing.T) {
			golden(t, name+".txt", []byte(detectText(t, &d, TextOptions{Width: 130})))
		})
	}
	d := detections()["detect-50"]
	golden(t, "detect-50-narrow.txt", []byte(detectText(t, &d, TextOptions{Width: 80})))
	d = zoo()
	golden(t, "detect-zoo-color.txt", []byte(detectText(t, &d, TextOptions{Width: 100, Color: true})))
}

func TestDetectColorOnlyPaints(t *testing.T) {
	d := zoo()
	plain, painted := detectText(t, &d, TextOptions{}), detectText(t, &d, TextOptions{Color: true})
	if painted == plain || trimLines(sgr.ReplaceAllString(painted, "")) != trimLines(plain) {
		t.Error("the colours change the text, or there are none")
	}
}

func TestDetectFitsTheWidth(t *testing.T) {
	for _, w := range []int{60, 80, 100, 140} {
		for name, d := range detections() {
			for _, l := range strings.Split(detectText(t, &d, TextOptions{Width: w}), "\n") {
				if width(l) > w {
					t.Errorf("%s at %d: %d cells: %q", name, w, width(l), l)
				}
			}
		}
	}
}

// What a probe or a node says reaches no terminal as it is.
func TestDetectHostile(t *testing.T) {
	evil := "a\x1b]0;x\x07\n" + strings.Repeat("b", 300)
	g := Square(evil, []string{evil, "n\u202e2"})
	own := Grid{Title: evil, Rows: g.Rows, Columns: []string{"c\x1b[2J"}, Cells: [][]Mark{{MarkLost}}}
	d := Detection{Next: evil, Grids: []Grid{g, own, {Title: "empty"}}, Result: v1alpha1.DetectResult{
		NotChecked: []string{evil}, Pending: []v1alpha1.Finding{{Signature: evil, Summary: evil, Evidence: []v1alpha1.Evidence{{Text: evil}}}},
	}}
	got := detectText(t, &d, TextOptions{})
	for _, r := range got {
		if r != '\n' && unprintable(r) {
			t.Fatalf("%U is printed", r)
		}
	}
}

// What is predicted is no "OK", and causes are told apart from effects.
func TestDetectCauses(t *testing.T) {
	finding := func(id string, s v1alpha1.Severity, c v1alpha1.Confidence, cause string) v1alpha1.Finding {
		return v1alpha1.Finding{Signature: id, Severity: s, Confidence: c, CausedBy: cause}
	}
	predicted := finding("predicted", v1alpha1.SeverityCritical, v1alpha1.ConfidencePredicted, "")
	confirmed := finding("confirmed", v1alpha1.SeverityWarning, v1alpha1.ConfidenceConfirmed, "")
	effect := finding("effect", v1alpha1.SeverityCritical, v1alpha1.ConfidenceConfirmed, "predicted")
	possible := finding("possible", v1alpha1.SeverityCritical, v1alpha1.ConfidencePossible, "")
	info := finding("info", v1alpha1.SeverityInfo, v1alpha1.ConfidenceConfirmed, "")
	tests := []struct {
		findings []v1alpha1.Finding
		want     string
		verdict  string
	}{
		{[]v1alpha1.Finding{predicted, confirmed, effect}, "confirmed", "✗ CONFIRMED · 1 failure, and 1 effect of it"},
		{[]v1alpha1.Finding{effect, predicted}, "predicted", ""},
		{[]v1alpha1.Finding{predicted}, "predicted", "? NOT CONFIRMED · 1 failure predicted"},
		{[]v1alpha1.Finding{possible, info}, "", "✓ OK · nothing confirmed"},
	}
	for _, tt := range tests {
		d := Detection{Result: v1alpha1.DetectResult{Findings: tt.findings}}
		got := ""
		for _, f := range d.Causes() {
			got += f.Signature
		}
		if text := detectText(t, &d, TextOptions{}); got != tt.want || !strings.HasPrefix(text, tt.verdict) {
			t.Errorf("causes %q, want %q:\n%s", got, tt.want, text)
		}
	}
}

func TestDetectConfirmed(t *testing.T) {
	finding := func(s v1alpha1.Severity, c v1alpha1.Confidence) v1alpha1.Finding {
		return v1alpha1.Finding{Severity: s, Confidence: c}
	}
	tests := []struct {
		name    string
		finding v1alpha1.Finding
		want    bool
	}{
		{"critical and confirmed", finding(v1alpha1.SeverityCritical, v1alpha1.ConfidenceConfirmed), true},
		{"warning and confirmed", finding(v1alpha1.SeverityWarning, v1alpha1.ConfidenceConfirmed), true},
		{"info", finding(v1alpha1.SeverityInfo, v1alpha1.ConfidenceConfirmed), false},
		{"predicted", finding(v1alpha1.SeverityCritical, v1alpha1.ConfidencePredicted), false},
	}
	for _, tt := range tests {
		d := Detection{Result: v1alpha1.DetectResult{Findings: []v1alpha1.Finding{tt.finding}}}
		if d.Confirmed() != tt.want {
			t.Errorf("%s: %t", tt.name, d.Confirmed())
		}
	}
}

// The document of the contract: lists are lists, and nothing of the drawing is in it.
func TestDetectJSON(t *testing.T) {
	d := Detection{Nodes: 3, Grids: []Grid{Square("x", nodes(3))}, Plans: true, Next: "remediate plan"}
	var b bytes.Buffer
	if err := DetectJSON(&b, &d); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"reports", "findings"} {
		if list, ok := got[key].([]any); !ok || len(list) != 0 {
			t.Errorf("%s is %v", key, got[key])
		}
	}
	if len(got) != 4 || got["apiVersion"] != v1alpha1.APIVersion || got["kind"] != "DetectResult" {
		t.Errorf("got %v", got)
	}
}
