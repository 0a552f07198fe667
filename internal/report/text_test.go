package report

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

func text(t testing.TB, p *v1alpha1.Plan, opt TextOptions) string {
	t.Helper()
	var b bytes.Buffer
	if err := Text(&b, p, opt); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTextGolden(t *testing.T) {
	for _, v := range variants(t) {
		t.Run(v.name, func(t *testing.T) {
			golden(t, v.name+".txt", []byte(text(t, v.plan, TextOptions{})))
		})
	}
}

func TestTextColorGolden(t *testing.T) {
	golden(t, "incident-color.txt", []byte(text(t, incident(t), TextOptions{Color: true})))
}

func TestTextNarrowGolden(t *testing.T) {
	golden(t, "incident-80.txt", []byte(text(t, incident(t), TextOptions{Width: 80})))
}

func TestTextColorOnlyPaints(t *testing.T) {
	plain := text(t, incident(t), TextOptions{})
	painted := text(t, incident(t), TextOptions{Color: true})
	if painted == plain {
		t.Fatal("Color: true painted nothing")
	}
	if got := sgr.ReplaceAllString(painted, ""); trimLines(got) != trimLines(plain) {
		t.Errorf("without its colours the painted text differs from the plain one")
	}
}

// trimLines drops the spaces at the ends of lines, which colour codes protect.
func trimLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.Join(lines, "\n")
}

func TestTextFitsTheWidth(t *testing.T) {
	for _, w := range []int{0, 10, 60, 79, 80, 100, 132, 500} {
		limit := newScreen(TextOptions{Width: w}).width
		for _, v := range variants(t) {
			for i, l := range strings.Split(text(t, v.plan, TextOptions{Width: w}), "\n") {
				if width(l) > limit {
					t.Errorf("%s, width %d: line %d has %d cells: %s", v.name, w, i+1, width(l), l)
				}
			}
		}
	}
}

func TestTextTellsWhatMatters(t *testing.T) {
	got := text(t, incident(t), TextOptions{})
	for _, want := range []string{
		"CRITICAL · confirmed · native-routing-cidr-excludes-pods",
		"ipv6NativeRoutingCIDR: fd00:101::/48 → fd00:101::/38",
		"fixed 12 · broken 0 · unchanged 40",
		"╭ now ─", "╭ with widen-native-routing-cidr ─", "✗ dropped: Policy denied", "✓ delivered",
		"widen-native-routing-cidr-aligned", "use-ip-masq-agent", "set-native-routing-cidr-to-pods",
		"restart DaemonSet/cilium", "disable-ipv6-masquerade", "Unexplained", "service CIDRs",
		"+ipv6NativeRoutingCIDR: fd00:101::/38",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the text does not say %q", want)
		}
	}
	if diff, rest := strings.Index(got, "--- a/"), strings.Index(got, "Unexplained"); diff < rest {
		t.Error("the diff is not last")
	}
}

func TestTextCutsLongLists(t *testing.T) {
	p := incident(t)
	for range 30 {
		p.Rejected = append(p.Rejected, p.Rejected...)
		if len(p.Rejected) > 500 {
			break
		}
	}
	got := text(t, p, TextOptions{})
	if !strings.Contains(got, "… and 762 more (see -o json)") {
		t.Errorf("no remark on the cut list:\n%s", got)
	}
}

func TestFindingsText(t *testing.T) {
	p := incident(t)
	p.Findings[0].Lacked = []string{"a drop event of the receiver's agent"}
	var b bytes.Buffer
	if err := FindingsText(&b, p.Findings, TextOptions{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "findings.txt", b.Bytes())

	b.Reset()
	if err := FindingsText(&b, nil, TextOptions{}); err != nil {
		t.Fatal(err)
	}
	if b.String() != "✓ OK · nothing found\n" {
		t.Errorf("no findings give %q", b.String())
	}
}

// refusing is a writer that takes nothing.
type refusing struct{}

var errRefused = errors.New("no space left")

func (refusing) Write([]byte) (int, error) { return 0, errRefused }

func TestWriteErrorsAreReported(t *testing.T) {
	p := incident(t)
	for name, f := range map[string]func() error{
		"Text":         func() error { return Text(refusing{}, p, TextOptions{}) },
		"FindingsText": func() error { return FindingsText(refusing{}, p.Findings, TextOptions{}) },
		"JSON":         func() error { return JSON(refusing{}, p) },
		"YAML":         func() error { return YAML(refusing{}, p) },
		"Markdown":     func() error { return Markdown(refusing{}, p) },
		"HTML":         func() error { return HTML(refusing{}, p) },
		"Diff":         func() error { return Diff(refusing{}, p, DiffOptions{}) },
	} {
		if err := f(); !errors.Is(err, errRefused) {
			t.Errorf("%s: got error %v, want the writer's", name, err)
		}
	}
}

func TestNoPlanIsAnError(t *testing.T) {
	for name, f := range map[string]func() error{
		"Text":     func() error { return Text(refusing{}, nil, TextOptions{}) },
		"Markdown": func() error { return Markdown(refusing{}, nil) },
		"HTML":     func() error { return HTML(refusing{}, nil) },
		"Diff":     func() error { return Diff(refusing{}, nil, DiffOptions{}) },
	} {
		if err := f(); err == nil || errors.Is(err, errRefused) {
			t.Errorf("%s of no plan: got error %v", name, err)
		}
	}
}
