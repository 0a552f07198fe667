package report

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

func htmlPage(t testing.TB, p *v1alpha1.Plan) string {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, p); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestHTMLGolden(t *testing.T) {
	for _, v := range variants(t) {
		t.Run(v.name, func(t *testing.T) {
			got := htmlPage(t, v.plan)
			if v.name != "incident" {
				// The style is in the incident's file; one copy is enough.
				_, got, _ = strings.Cut(got, "</style>")
			}
			golden(t, v.name+".html", []byte(got))
		})
	}
}

func TestHTMLNeedsNothingElse(t *testing.T) {
	got := htmlPage(t, incident(t))
	for _, bad := range []string{"<script", "<link", "@import", "url(", "http://", "https://", "<img", "<iframe"} {
		if strings.Contains(got, bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
	if m := regexp.MustCompile(`<[^>]*\son\w+=[^>]*>`).FindString(got); m != "" {
		t.Errorf("the page contains a handler: %s", m)
	}
	if !strings.Contains(got, "default-src 'none'") {
		t.Error("the page has no content security policy")
	}
}

func TestHTMLIsAccessible(t *testing.T) {
	got := htmlPage(t, incident(t))
	if n := strings.Count(got, "<h1"); n != 1 {
		t.Errorf("%d first-level headings", n)
	}
	if !strings.Contains(got, `<html lang="en">`) {
		t.Error("no language")
	}
	for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(got, -1) {
		for _, want := range []string{`role="img"`, "aria-labelledby=", "<title id=", "<desc id="} {
			if !strings.Contains(svg, want) {
				t.Errorf("a drawing has no %s", want)
			}
		}
	}
	ids := map[string]bool{}
	for _, m := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(got, -1) {
		if ids[m[1]] {
			t.Errorf("id %q twice", m[1])
		}
		ids[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`aria-labelledby="([^"]+)"`).FindAllStringSubmatch(got, -1) {
		for id := range strings.FieldsSeq(m[1]) {
			if !ids[id] {
				t.Errorf("a label refers to %q, which is not there", id)
			}
		}
	}
	for _, table := range regexp.MustCompile(`(?s)<table.*?</table>`).FindAllString(got, -1) {
		if !strings.Contains(table, `<th scope="col">`) || !strings.Contains(table, `<th scope="row">`) {
			t.Errorf("a table lacks headers: %.120s", table)
		}
	}
}

func TestHTMLCutsLongLists(t *testing.T) {
	got := htmlPage(t, large(t))
	if !strings.Contains(got, "… and 1466 more (see -o json)") {
		t.Error("1,506 facts are not cut to 40")
	}
	if !strings.Contains(got, "… and 1306 more (see -o json)") {
		t.Error("1,506 pieces of evidence are not cut to 200")
	}
	if len(got) > 4<<20 {
		t.Errorf("the page has %d bytes", len(got))
	}
}

func TestDrawingsStandOnTheSameRows(t *testing.T) {
	p := incident(t)
	d := drawings([]*v1alpha1.Walk{&p.Walks[0], &p.Walks[1]})
	if len(d) != 2 || d[0].Height != d[1].Height || d[0].OutcomeY != d[1].OutcomeY {
		t.Fatalf("the drawings differ in height: %+v", d)
	}
	for i := range d[0].Places {
		for j, s := range d[0].Places[i].Steps {
			if o := d[1].Places[i].Steps[j]; o.Y != s.Y || o.H != s.H {
				t.Errorf("place %d step %d: %d+%d and %d+%d", i, j, s.Y, s.H, o.Y, o.H)
			}
		}
	}
	if d[0].Class != "bad" || d[1].Class != "good" {
		t.Errorf("classes %s and %s", d[0].Class, d[1].Class)
	}
}

func TestDrawingKeepsTextInsideItsBox(t *testing.T) {
	p := incident(t)
	for _, d := range drawings([]*v1alpha1.Walk{&p.Walks[0], &p.Walks[1]}) {
		end := 0
		for _, place := range d.Places {
			if place.Y < end {
				t.Errorf("%s: place %q starts at %d, above %d", d.Name, place.name, place.Y, end)
			}
			end = place.Y + place.H
			for _, s := range place.Steps {
				for _, l := range append(s.Lines, s.Why...) {
					if l.Y < s.Y+10 || l.Y > s.Y+s.H-4 {
						t.Errorf("%s: %q at %d is outside of its box %d+%d", d.Name, l.Text, l.Y, s.Y, s.H)
					}
				}
			}
		}
		if d.OutcomeY < end || d.Height < d.OutcomeY+40 {
			t.Errorf("%s: outcome at %d of %d, last place ends at %d", d.Name, d.OutcomeY, d.Height, end)
		}
	}
}
