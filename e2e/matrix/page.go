package matrix

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Page is docs/fidelity.md: every row with what agents did beside what the model says,
// and what other versions did otherwise.
func Page(record *Record, rows []Row, others ...Measured) (string, error) {
	p := &page{record: record, rows: map[string][]Row{}}
	for _, row := range rows {
		row.Seen = record.Seen[row.Name()]
		p.all = append(p.all, row)
		key := row.Bed + ", " + row.Stage
		p.rows[key] = append(p.rows[key], row)
	}
	p.head()
	p.printf("%s", found)
	p.versions(others)
	for _, b := range BedsOf("") {
		if err := p.bed(b); err != nil {
			return "", err
		}
	}
	p.printf("%s", uncovered)
	for _, line := range p.record.Coverage[1:] {
		p.printf("- `%s`\n", strings.ReplaceAll(line, "`", "'"))
	}
	p.printf("\n## The policies\n\nThose of team-a, unless the policy says otherwise.\n\n")
	for _, policy := range Policies() {
		p.printf("%s:\n\n```yaml\n%s```\n\n", policy.Name, policy.YAML)
	}
	return strings.TrimRight(p.String(), "\n") + "\n", nil
}

type page struct {
	strings.Builder
	record *Record
	all    []Row
	rows   map[string][]Row // by bed and stage
}

func (p *page) printf(format string, args ...any) { fmt.Fprintf(p, format, args...) }

func (p *page) head() {
	p.printf("%s", introduction)
	stages, configs := 0, map[string]bool{}
	beds := BedsOf("")
	for _, b := range beds {
		stages += len(b.Stages)
		for _, s := range b.Stages {
			for _, name := range s.Configs {
				configs[name] = true
			}
		}
	}
	c := CountOf(p.all)
	p.printf("| figure | |\n|---|---|\n")
	p.printf("| Cilium | %s |\n| kernel | %s |\n", p.record.Machine.Cilium, p.record.Machine.Kernel)
	p.printf("| configurations | %d |\n| policies | %d |\n| clusters, states of them | %d, %d |\n", len(configs), len(Policies()), len(beds), stages)
	p.printf("| rows | %d |\n| the model agrees | %d (%s) |\n| disagrees | %d |\n| leaves a column open | %d (%s) |\n",
		c.Rows, c.Agreed(), share(c.Agreed(), c.Rows), c.Wrong, c.Open, share(c.Open, c.Rows))
	p.printf("| not sent yet | %d (%s) |\n", c.Unmeasured, share(c.Unmeasured, c.Rows))
	p.printf("| values compared | %d |\n| the model's walk that the rows run | %s |\n\n", c.Values, p.record.Coverage[0])
}

// Count is of rows.
type Count struct {
	Rows, Wrong, Open int
	// Unmeasured rows were never sent.
	Unmeasured int
	// Values were seen and compared.
	Values int
}

// Agreed is how many rows agree in all columns.
func (c Count) Agreed() int { return c.Rows - c.Wrong - c.Open - c.Unmeasured }

// CountOf counts rows.
func CountOf(rows []Row) Count {
	c := Count{Rows: len(rows)}
	for _, row := range rows {
		wrong, open := Diff(row.Seen, row.Predicted)
		switch {
		case row.Seen == (Outcome{}):
			c.Unmeasured++
		case len(wrong) > 0:
			c.Wrong++
		case len(open) > 0:
			c.Open++
		}
		for _, column := range columns() {
			if *column.value(&row.Seen) != "" {
				c.Values++
			}
		}
	}
	return c
}

func share(part, of int) string {
	if of == 0 {
		return "none"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(of))
}

func (p *page) bed(b Bed) error {
	p.printf("## %s\n\n", b.Title)
	for i := range b.Stages {
		if err := p.stage(b, &b.Stages[i]); err != nil {
			return err
		}
	}
	return nil
}

func (p *page) stage(b Bed, st *Stage) error {
	p.printf("### %s\n\n", strings.ToUpper(st.Name[:1])+st.Name[1:])
	for i, name := range st.Configs {
		c, err := ConfigOf(name)
		if err != nil {
			return err
		}
		who := "all nodes"
		if len(st.Configs) > 1 {
			who = nodeName(i)
		}
		p.printf("- %s: %s: `%s`\n", who, name, strings.Join(strings.Split(strings.TrimSpace(c.Values), "\n"), "` `"))
	}
	p.printf("- policies: %s\n", cmp.Or(strings.Join(st.Policies, ", "), "none"))
	if st.APIServer != "" {
		p.printf("- a kube-apiserver runs on %s\n", st.APIServer)
	}
	p.printf("\n| flows | agent | model |\n|---|---|---|\n")
	for _, g := range group(p.rows[b.Name+", "+st.Name]) {
		p.printf("| %s | %s | %s |\n", strings.Join(g.ends(), "<br>"), g.seen, g.predicted)
	}
	p.printf("\n")
	return nil
}

// grouped are flows with one outcome.
type grouped struct {
	flows           []string
	seen, predicted string
}

// ends are the flows, those between the same ends on one line.
func (g grouped) ends() []string {
	var order []string
	kinds := map[string][]string{}
	for _, flow := range g.flows {
		words := strings.SplitN(flow, " ", 3)
		if kinds[words[2]] == nil {
			order = append(order, words[2])
		}
		kinds[words[2]] = append(kinds[words[2]], words[0]+" "+words[1])
	}
	for i, ends := range order {
		order[i] = ends + ": " + strings.Join(kinds[ends], ", ")
	}
	return order
}

// group joins the rows of a stage that came out the same, in the order of the first.
func group(rows []Row) (out []grouped) {
	for _, row := range rows {
		predicted := "the same"
		if wrong, open := Diff(row.Seen, row.Predicted); len(wrong)+len(open) > 0 {
			predicted = "**" + strings.Join(append(wrong, open...), "; ") + "**: " + row.Predicted.String()
		} else if text := row.Predicted.String(); text != row.Seen.String() {
			predicted = text
		}
		seen := row.Seen.String()
		i := slices.IndexFunc(out, func(g grouped) bool { return g.seen == seen && g.predicted == predicted })
		if i < 0 {
			out = append(out, grouped{seen: seen, predicted: predicted})
			i = len(out) - 1
		}
		out[i].flows = append(out[i].flows, row.Flow)
	}
	return out
}

// String is the outcome in words.
func (o Outcome) String() string {
	parts := []string{cmp.Or(o.Result, "open")}
	for _, part := range []struct{ words, value string }{
		{"source ", o.Source}, {"identity ", o.Identity}, {"ingress ", o.Verdict}, {"egress ", o.Egress},
		{"drop ", o.Drop}, {"masquerading ", o.Masquerade},
	} {
		if part.value != "" && part.value != noEvent && part.value != noDrop {
			parts = append(parts, part.words+part.value)
		}
	}
	return strings.Join(parts, ", ")
}
