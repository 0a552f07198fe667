package story

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// The measures of the picture, in SVG units; at full size one unit is one pixel. Text
// is measured in characters of a wide sans-serif face, so that it fits in any.
const (
	pictureWidth = 920
	laneLeft     = 84
	laneWidth    = 54
	laneGap      = 6
	stepChars    = 18
	textChars    = 68
	headHeight   = 66
	rowHeight    = 22
	lineHeight   = 17
	rowGap       = 8
)

// pictureStyle has the colours of the plan's page (internal/report/page.html.tmpl).
const pictureStyle = `<style>
svg { --bg: #ffffff; --ink: #1b2430; --soft: #5a6675; --rule: #dfe4ea; --bad: #b42318; --bad-bg: #f7c9c4; --good: #17692f; --good-bg: #bfe5c9; }
@media (prefers-color-scheme: dark) { svg { --bg: #12161c; --ink: #e4e9ef; --soft: #9ba8b6; --rule: #2d3641; --bad: #ff8f84; --bad-bg: #5c2522; --good: #7bd694; --good-bg: #1f4a2a; } }
text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", Arial, sans-serif; font-size: 13px; fill: var(--ink); }
.page { fill: var(--bg); stroke: var(--rule); }
.title { font-size: 15px; font-weight: 650; }
.soft { fill: var(--soft); font-size: 12px; }
.name { font-weight: 600; }
.good { fill: var(--good-bg); }
.bad { fill: var(--bad-bg); }
.ok { fill: var(--good); font-size: 12px; }
.drop { fill: var(--bad); font-size: 12px; }
.rule { stroke: var(--rule); }
</style>
`

// SVG draws the record: a row for each step, and a lane for each node that is green
// while what the node sends arrives.
func (p *Tape) SVG() string {
	var rows strings.Builder
	y := headHeight
	for i, m := range p.Marks {
		lines := wrapText(m.Text, p.textChars())
		height := rowHeight + (len(lines)-1)*lineHeight + rowGap
		p.row(&rows, m, lines, y, height, i > 0 && !slices.Equal(m.Cut, p.Marks[i-1].Cut) || i == 0)
		y += height
	}
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="t d">`+"\n", pictureWidth, y+12)
	fmt.Fprintf(&out, "<title id=\"t\">%s</title>\n<desc id=\"d\">%s</desc>\n", html.EscapeString(p.Title), html.EscapeString(p.described()))
	out.WriteString(pictureStyle)
	fmt.Fprintf(&out, `<rect class="page" x="0.5" y="0.5" width="%d" height="%d" rx="10"/>`+"\n", pictureWidth-1, y+11)
	fmt.Fprintf(&out, `<text class="title" x="18" y="28">%s</text>`+"\n", html.EscapeString(p.Title))
	fmt.Fprintf(&out, `<text class="soft" x="70" y="54" text-anchor="end">time</text>`+"\n")
	for i, n := range p.Nodes {
		fmt.Fprintf(&out, `<text class="soft" x="%d" y="54" text-anchor="middle">%s</text>`+"\n", laneX(i)+laneWidth/2, html.EscapeString(n))
	}
	out.WriteString(rows.String())
	out.WriteString("</svg>\n")
	return out.String()
}

func laneX(i int) int { return laneLeft + i*(laneWidth+laneGap) }

// textLeft is where the steps' names begin.
func (p *Tape) textLeft() int { return laneX(len(p.Nodes)) + 10 }

// textChars are those that fit beside the lanes and the step's name.
func (p *Tape) textChars() int {
	const threeNodes = 3
	return textChars - (len(p.Nodes)-threeNodes)*(laneWidth+laneGap)/8
}

// row draws a step; changed says that lanes are others than in the row before, and are
// named.
func (p *Tape) row(out *strings.Builder, m Mark, lines []string, y, height int, changed bool) {
	base := y + 16
	fmt.Fprintf(out, `<line class="rule" x1="%d" y1="%d" x2="%d" y2="%d"/>`+"\n", p.textLeft(), y, pictureWidth-18, y)
	fmt.Fprintf(out, `<text class="soft" x="70" y="%d" text-anchor="end">%.1f s</text>`+"\n", base, m.At.Seconds())
	for i, n := range p.Nodes {
		class, word, says := "good", "ok", "arrives"
		if slices.Contains(m.Cut, n) {
			class, word, says = "bad", "drop", "dropped"
		}
		fmt.Fprintf(out, `<rect class="%s" x="%d" y="%d" width="%d" height="%d"/>`+"\n", class, laneX(i), y, laneWidth, height)
		if changed {
			fmt.Fprintf(out, `<text class="%s" x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", word, laneX(i)+laneWidth/2, base, says)
		}
	}
	fmt.Fprintf(out, `<text class="name" x="%d" y="%d">%s</text>`+"\n", p.textLeft(), base, html.EscapeString(m.Step))
	for _, l := range lines {
		fmt.Fprintf(out, `<text class="soft" x="%d" y="%d">%s</text>`+"\n", p.textLeft()+stepChars*8, base, html.EscapeString(l))
		base += lineHeight
	}
}

// described is the record in words, for who cannot see the picture.
func (p *Tape) described() string {
	var parts []string
	for _, m := range p.Marks {
		part := fmt.Sprintf("After %.1f s: %s: %s", m.At.Seconds(), m.Step, m.Text)
		if len(m.Cut) > 0 {
			part += " (dropped is what these send: " + strings.Join(m.Cut, ", ") + ")"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ". ")
}

// wrapText breaks a text at spaces into at least one line.
func wrapText(text string, width int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case len([]rune(*last))+1+len([]rune(word)) > width:
			lines = append(lines, word)
		default:
			*last += " " + word
		}
	}
	return lines
}
