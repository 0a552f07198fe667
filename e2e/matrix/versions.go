package matrix

import (
	"slices"
	"strings"
)

// BedsOf are the beds of a version of Cilium, "1.20.2", with the stages that are run on
// it. The version is empty for the one that all rows are measured on.
func BedsOf(version string) (out []Bed) {
	for _, b := range Beds() {
		b.Stages = slices.DeleteFunc(b.Stages, func(s Stage) bool { return !b.runsOn(&s, version) })
		if len(b.Stages) > 0 {
			out = append(out, b)
		}
	}
	return out
}

func (b *Bed) runsOn(s *Stage, version string) bool {
	return version == "" || s.Core || !b.OneVersion
}

// Measured is what was seen on one version of Cilium, and its rows.
type Measured struct {
	Record *Record
	Rows   []Row
}

// differing are the rows in which a version does otherwise than another did, and what
// that one did, by the rows' names.
func (m Measured) differing(before *Record) (rows []Row, were map[string]Outcome) {
	were = map[string]Outcome{}
	for _, row := range m.Rows {
		was, ok := before.Seen[row.Name()]
		if ok && len(Changed(was, row.Seen)) > 0 {
			rows, were[row.Name()] = append(rows, row), was
		}
	}
	return rows, were
}

// versions is the part of the page about other versions.
func (p *page) versions(others []Measured) {
	if len(others) == 0 {
		return
	}
	p.printf("%s", otherVersions)
	p.printf("| Cilium | kernel | rows sent | the model agrees | disagrees | leaves a column open | not sent yet | other than on %s |\n|---|---|---|---|---|---|---|---|\n", p.record.Machine.Cilium)
	for _, o := range others {
		c := CountOf(o.Rows)
		rows, _ := o.differing(p.record)
		sent := c.Rows - c.Unmeasured
		p.printf("| %s | %s | %d | %d (%s) | %d | %d | %d | %d |\n", o.Record.Machine.Cilium, o.Record.Machine.Kernel,
			sent, c.Agreed(), share(c.Agreed(), sent), c.Wrong, c.Open, c.Unmeasured, len(rows))
	}
	p.printf("\n%s", versionsFound)
	for _, o := range others {
		p.differences(o)
		p.additions(o)
	}
}

// differences lists the rows of a version that came out otherwise.
func (p *page) differences(m Measured) {
	rows, were := m.differing(p.record)
	if len(rows) == 0 {
		return
	}
	p.printf("### What %s does otherwise than %s\n\n", m.Record.Machine.Cilium, p.record.Machine.Cilium)
	p.printf("| bed, state | flows | agent %s | agent %s | model |\n|---|---|---|---|---|\n", p.record.Machine.Cilium, m.Record.Machine.Cilium)
	for _, part := range inStages(rows, func(row Row) string { return were[row.Name()].String() }) {
		for _, g := range group(part) {
			p.printf("| %s, %s | %s | %s | %s | %s |\n", part[0].Bed, part[0].Stage, strings.Join(g.ends(), "<br>"), were[part[0].Name()], g.seen, g.predicted)
		}
	}
	p.printf("\n")
}

// additions lists the rows of a version that no other has.
func (p *page) additions(m Measured) {
	rows := slices.DeleteFunc(slices.Clone(m.Rows), func(row Row) bool {
		_, ok := p.record.Seen[row.Name()]
		return ok || row.Seen == (Outcome{})
	})
	if len(rows) == 0 {
		return
	}
	p.printf("### What only %s can be asked\n\n", m.Record.Machine.Cilium)
	p.printf("| bed, state | flows | agent | model |\n|---|---|---|---|\n")
	for _, part := range inStages(rows, func(Row) string { return "" }) {
		for _, g := range group(part) {
			p.printf("| %s, %s | %s | %s | %s |\n", part[0].Bed, part[0].Stage, strings.Join(g.ends(), "<br>"), g.seen, g.predicted)
		}
	}
	p.printf("\n")
}

// inStages splits rows by their stage and by a key.
func inStages(rows []Row, key func(Row) string) (out [][]Row) {
	index := map[[3]string]int{}
	for _, row := range rows {
		k := [3]string{row.Bed, row.Stage, key(row)}
		i, ok := index[k]
		if !ok {
			i, index[k] = len(out), len(out)
			out = append(out, nil)
		}
		out[i] = append(out[i], row)
	}
	return out
}
