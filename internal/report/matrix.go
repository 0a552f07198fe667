package report

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Mark is what became of the exchanges between two ends, as one letter.
type Mark byte

// Marks, worst first where several fit.
const (
	MarkUnknown    Mark = '-' // nothing was tried
	MarkWell       Mark = '.' // every exchange was answered, with the prober's own address
	MarkMasked     Mark = 'M' // answered, and seen with another address
	MarkLost       Mark = 'X' // no answer to anything
	MarkSome       Mark = 'x' // some answered, some did not
	MarkGuarded    Mark = 'G' // open targets answer, those behind a policy do not
	MarkFull       Mark = 'F' // only full-size packets are lost
	MarkRefused    Mark = 'R' // refused: the path works, nobody listens
	MarkNotChecked Mark = '?' // could not be checked, or the prober was starved
)

// markKind is how a mark is drawn and explained.
type markKind struct {
	mark        Mark
	ink, legend string
}

// marks are all of them, worst first.
var marks = []markKind{
	{MarkMasked, red, "answered, but seen with another source address"},
	{MarkLost, red, "no answer"},
	{MarkGuarded, red, "open targets answer, those behind a policy do not"},
	{MarkFull, yellow, "only full-size packets are lost"},
	{MarkSome, yellow, "some exchanges were lost"},
	{MarkRefused, yellow, "refused: the path works, the target does not"},
	{MarkNotChecked, dim, "could not be checked"},
	{MarkUnknown, dim, "not tried"},
	{MarkWell, green, "well"},
}

// Bad says whether the mark stands for something that is wrong.
func (m Mark) Bad() bool {
	return m != MarkUnknown && m != MarkWell && m != MarkNotChecked && m != 0
}

// Grid is a matrix of marks. A cell that is 0 counts as [MarkUnknown].
type Grid struct {
	Title string
	Rows  []string
	// Columns' names; in a matrix of nodes by nodes they are the Rows.
	Columns []string
	Cells   [][]Mark
}

// Square makes a matrix of nodes by nodes without marks.
func Square(title string, nodes []string) Grid {
	g := Grid{Title: title, Rows: nodes, Columns: nodes, Cells: make([][]Mark, len(nodes))}
	for i := range g.Cells {
		g.Cells[i] = make([]Mark, len(nodes))
	}
	return g
}

// Bad says whether anything in the grid is wrong.
func (g Grid) Bad() bool {
	return slices.ContainsFunc(g.Cells, func(row []Mark) bool { return slices.ContainsFunc(row, Mark.Bad) })
}

func (g Grid) at(row, column int) Mark {
	if row >= len(g.Cells) || column >= len(g.Cells[row]) || g.Cells[row][column] == 0 {
		return MarkUnknown
	}
	return g.Cells[row][column]
}

// mostNodes is how many rows and columns of a matrix are drawn: what fits on a
// wide screen. Of larger ones those with trouble are.
const mostNodes = 60

// grid draws one matrix: from the nodes on the left to the nodes above.
func (t *screen) grid(g Grid) {
	d := newLayout(t, g)
	t.blank()
	t.row(t.paint(line(g.Title), bold))
	each := max((t.width-2-d.label)/d.cell, 1)
	for columns := range slices.Chunk(d.columns, each) {
		d.header(t, columns)
		for _, r := range d.rows {
			text := "  " + pad(d.name(t, r), d.label)
			for _, c := range columns {
				text += strings.Repeat(" ", d.cell-1) + t.mark(g.at(r, c))
			}
			t.row(text)
		}
	}
	if hidden := len(g.Rows) - len(d.rows); hidden > 0 {
		text := fmt.Sprintf("%d of %d nodes are not shown: those that are have the most trouble", hidden, len(g.Rows))
		t.row("  " + t.paint(cut(text, t.wide()), dim))
	}
}

// layout is which part of a grid is drawn and how wide.
type layout struct {
	Grid
	// square: the columns are the rows, and stand there by their numbers.
	square        bool
	rows, columns []int
	// label is the width of the rows' names, cell that of a column, digits that of
	// the rows' numbers.
	label, cell, digits int
}

func newLayout(t *screen, g Grid) layout {
	d := layout{Grid: g, square: slices.Equal(g.Rows, g.Columns), cell: 2}
	d.rows = g.worst(d.square)
	d.columns = d.rows
	if d.square {
		d.digits = len(strconv.Itoa(len(g.Rows)))
	} else {
		d.columns = indices(len(g.Columns))
		for _, c := range g.Columns {
			d.cell = max(d.cell, width(line(c))+2)
		}
	}
	for _, r := range d.rows {
		d.label = max(d.label, width(d.name(t, r)))
	}
	d.label += 2
	return d
}

func (d layout) name(t *screen, row int) string {
	name := cutMiddle(line(d.Rows[row]), t.width/3)
	if !d.square {
		return name
	}
	return padLeft(strconv.Itoa(row+1), d.digits) + " " + name
}

// header names the columns; numbers stand upright, a digit in each row.
func (d layout) header(t *screen, columns []int) {
	for digit := range max(d.digits, 1) {
		text := "  " + strings.Repeat(" ", d.label)
		for _, c := range columns {
			if d.square {
				text += " " + padLeft(strconv.Itoa(c+1), d.digits)[digit:digit+1]
			} else {
				text += padLeft(line(d.Columns[c]), d.cell)
			}
		}
		t.row(t.paint(strings.TrimRight(text, " "), dim))
	}
}

func (t *screen) mark(m Mark) string {
	i := slices.IndexFunc(marks, func(k markKind) bool { return k.mark == m })
	if i < 0 {
		return "?"
	}
	return t.paint(string(rune(m)), marks[i].ink)
}

func indices(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// worst are the rows that are drawn, in their own order: all, or those with the most
// trouble.
func (g Grid) worst(square bool) []int {
	all := indices(len(g.Rows))
	if len(all) <= mostNodes {
		return all
	}
	count := make([]int, len(all))
	for i := range all {
		count[i] = g.trouble(i, square)
	}
	slices.SortStableFunc(all, func(a, b int) int { return cmp.Compare(count[b], count[a]) })
	all = all[:mostNodes]
	slices.Sort(all)
	return all
}

// trouble counts a node's bad marks, as a row and, in a square, as a column.
func (g Grid) trouble(i int, square bool) int {
	n := 0
	for c := range g.Columns {
		if g.at(i, c).Bad() {
			n++
		}
		if square && g.at(c, i).Bad() {
			n++
		}
	}
	return n
}

// legend explains the marks that the grids hold.
func (t *screen) legend(grids []Grid) {
	used := map[Mark]bool{}
	for _, g := range grids {
		for r := range g.Rows {
			for c := range g.Columns {
				used[g.at(r, c)] = true
			}
		}
	}
	var parts []string
	for _, m := range marks {
		if used[m.mark] {
			parts = append(parts, string(rune(m.mark))+" "+m.legend)
		}
	}
	t.blank()
	for _, r := range t.hanging("", strings.Join(parts, " · "), t.wide(), 4, dim) {
		t.row("  " + r)
	}
}
