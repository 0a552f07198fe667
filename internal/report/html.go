package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"reflect"
	"strings"
	"sync"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

//go:embed page.html.tmpl
var pageText string

// pageTemplate is the parsed page; it is read once and never changed.
var pageTemplate = sync.OnceValues(func() (*template.Template, error) {
	return template.New("page").Funcs(pageFuncs()).Parse(pageText)
})

// pageFuncs are what the template calls.
func pageFuncs() template.FuncMap {
	return template.FuncMap{
		"line":    line,
		"value":   value,
		"unset":   func(v any) bool { return v == nil },
		"spans":   func(s string) []span { return spans(line(s)) },
		"flows":   flows,
		"proof":   proof,
		"tried":   tried,
		"place":   place,
		"mark":    severityMark,
		"way":     wayMark,
		"joined":  func(items []string) string { return joined(items, mostItems) },
		"restart": restart,
		"inc":     func(i int) int { return i + 1 },
		"first":   firstItems,
		"rest":    restItems,
	}
}

// mostItems bounds a list of the HTML page.
const mostItems = 200

// firstItems are the items of a list that a page shows.
func firstItems(items any) any {
	v := reflect.ValueOf(items)
	if v.Kind() != reflect.Slice || v.Len() <= mostItems {
		return items
	}
	return v.Slice(0, mostItems).Interface()
}

// restItems stands for the items that firstItems left out; empty when there are none.
func restItems(items any) string {
	v := reflect.ValueOf(items)
	if v.Kind() != reflect.Slice || v.Len() <= mostItems {
		return ""
	}
	return more(v.Len() - mostItems)
}

// page is what the HTML template reads.
type page struct {
	*view
	Title    string
	Class    string
	About    []string
	Checked  string
	Supply   string
	Drawings []drawing
	Diff     []diffRow
	Offer    []diffRow
	Facts    []factRow
	Masq     []masqueradeRow
}

// diffRow is a line of a diff and how it is coloured.
type diffRow struct{ Class, Text string }

type factRow struct{ Name, Value, Source string }

type masqueradeRow struct {
	Candidate string
	v1alpha1.MasqueradeChange
}

// Accessors for the template, which cannot read unexported fields.

// Plan is the normalized document.
func (p *page) Plan() *v1alpha1.Plan { return p.plan }

// Cause is the finding of the page, nil when nothing was found.
func (p *page) Cause() *v1alpha1.Finding { return p.cause }

// Others are the remaining findings.
func (p *page) Others() []v1alpha1.Finding { return p.others }

// Best is the proposed candidate, nil when none is.
func (p *page) Best() *v1alpha1.Candidate { return p.best }

// Walks are the drawn walks in full.
func (p *page) Walks() []*v1alpha1.Walk { return p.walks() }

// HTML writes p as one file that needs neither network nor scripts: the same
// content as Markdown, with the packet's walk drawn as SVG. Colours follow the
// reader's light or dark setting, and it prints.
func HTML(w io.Writer, p *v1alpha1.Plan) error {
	v, err := newView(p)
	if err != nil {
		return err
	}
	page, err := pageTemplate()
	if err != nil {
		return fmt.Errorf("failed to read the page's template: %w", err)
	}
	var b bytes.Buffer
	if err := page.Execute(&b, newPage(v)); err != nil {
		return fmt.Errorf("failed to fill in the HTML page: %w", err)
	}
	return write(w, "HTML", b.Bytes())
}

func newPage(v *view) *page {
	p := &page{
		view: v, Title: "Nothing found", Class: "good", About: subject(v.plan.Subject),
		Checked: checked(v.plan), Supply: supply(v.plan.Facts.Unknown), Drawings: drawings(v.walks()),
	}
	if v.unjudged() {
		p.Title, p.Class = "Not judged", severityClass(v1alpha1.SeverityWarning)
	}
	if v.cause != nil {
		p.Title = orElse(line(v.cause.Summary), line(v.cause.Signature))
		p.Class = severityClass(v.cause.Severity)
	}
	if v.best != nil {
		p.Diff = diffRows(v.best.Diff)
		if o := v.best.Rollout.Offer; o != nil {
			p.Offer = diffRows(o.Diff)
		}
	}
	p.addFacts(factGroups(v.plan.Facts))
	for _, c := range v.plan.Candidates {
		for _, m := range c.Masquerade {
			p.Masq = append(p.Masq, masqueradeRow{c.ID, m})
		}
	}
	return p
}

func severityClass(s v1alpha1.Severity) string {
	switch s {
	case v1alpha1.SeverityCritical:
		return "bad"
	case v1alpha1.SeverityWarning:
		return "warn"
	}
	return "info"
}

// addFacts lists the first facts of each kind.
func (p *page) addFacts(groups []factGroup) {
	for _, g := range groups {
		for i, f := range g.facts {
			if i == mostItems/5 {
				p.Facts = append(p.Facts, factRow{Name: g.name, Value: more(len(g.facts) - i)})
				break
			}
			p.Facts = append(p.Facts, factRow{g.name, line(f.Value), line(f.Source) + observedOnly(f)})
		}
	}
}

func diffRows(text string) []diffRow {
	var rows []diffRow
	for _, l := range diffLines(text, 2000) {
		class := ""
		switch {
		case strings.HasPrefix(l, "+++"), strings.HasPrefix(l, "---"):
			class = "file"
		case strings.HasPrefix(l, "@@"):
			class = "hunk"
		case strings.HasPrefix(l, "+"):
			class = "add"
		case strings.HasPrefix(l, "-"):
			class = "del"
		}
		rows = append(rows, diffRow{class, l})
	}
	return rows
}
