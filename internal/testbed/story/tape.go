package story

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Tape is the record of a story: what happened, when since its beginning, and which
// nodes' packets arrived then.
type Tape struct {
	Title string
	Nodes []string
	Marks []Mark

	began time.Time
	cut   []string
}

// Mark is an event of a [Tape].
type Mark struct {
	At time.Duration
	// Cut are the nodes whose packets are dropped where they arrive.
	Cut []string
	// Step is a word or two, Text says more.
	Step, Text string
}

// NewTape begins a record.
func NewTape(title string, nodes ...string) *Tape {
	return &Tape{Title: title, Nodes: nodes, began: time.Now()}
}

// Cut says whose packets are dropped from the next step on.
func (p *Tape) Cut(nodes ...string) { p.cut = slices.Clone(nodes) }

// Step records what has just happened, and returns its line.
func (p *Tape) Step(step, format string, args ...any) string {
	m := Mark{At: time.Since(p.began), Cut: p.cut, Step: step, Text: strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")}
	p.Marks = append(p.Marks, m)
	return p.line(m)
}

const lanesMean = "+ what the node sends arrives, - it is dropped where it arrives"

// String is the record as text, which [ParseTape] reads.
func (p *Tape) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "# %s\n# %s: %s\n", p.Title, strings.Join(p.Nodes, " "), lanesMean)
	for _, m := range p.Marks {
		fmt.Fprintln(&out, p.line(m))
	}
	return out.String()
}

func (p *Tape) line(m Mark) string {
	lanes := ""
	for _, n := range p.Nodes {
		if slices.Contains(m.Cut, n) {
			lanes += "-"
		} else {
			lanes += "+"
		}
	}
	return fmt.Sprintf("%7.1f s  %s  %-15s  %s", m.At.Seconds(), lanes, m.Step, m.Text)
}

var tapeLine = regexp.MustCompile(`^ *(\d+\.\d) s  ([+-]+)  (.{15,}?)  (.*)$`)

// ParseTape reads what [Tape.String] wrote.
func ParseTape(text string) (*Tape, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 3 {
		return nil, errors.New("the record has no step")
	}
	title, ok := strings.CutPrefix(lines[0], "# ")
	nodes, means, found := strings.Cut(strings.TrimPrefix(lines[1], "# "), ": ")
	if !ok || !found || means != lanesMean {
		return nil, errors.New("the record does not begin with its title and its nodes")
	}
	p := &Tape{Title: title, Nodes: strings.Fields(nodes)}
	for _, line := range lines[2:] {
		m := tapeLine.FindStringSubmatch(line)
		if m == nil || len(m[2]) != len(p.Nodes) {
			return nil, fmt.Errorf("this line of the record has no time, lanes, step and text: %q", line)
		}
		at, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return nil, err
		}
		mark := Mark{At: time.Duration(at*10+0.5) * (time.Second / 10), Step: strings.TrimSpace(m[3]), Text: m[4]}
		for i, lane := range m[2] {
			if lane == '-' {
				mark.Cut = append(mark.Cut, p.Nodes[i])
			}
		}
		p.Marks = append(p.Marks, mark)
	}
	return p, nil
}

// Split is the time from the first step of a name to the last one, by step.
func (p *Tape) Split(from string) string {
	first := slices.IndexFunc(p.Marks, func(m Mark) bool { return m.Step == from })
	if first < 0 {
		return "there is no step " + from
	}
	var out strings.Builder
	start := p.Marks[first]
	for last := start; first < len(p.Marks)-1; last = p.Marks[first] {
		first++
		m := p.Marks[first]
		fmt.Fprintf(&out, "%7.1f s  until %s\n", (m.At - last.At).Seconds(), m.Step)
	}
	end := p.Marks[len(p.Marks)-1]
	fmt.Fprintf(&out, "%7.1f s  from %s to %s\n", (end.At - start.At).Seconds(), from, end.Step)
	return out.String()
}
