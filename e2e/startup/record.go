package startup

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	agent "github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// Machine is a version of Cilium and what it was measured on.
type Machine struct {
	Cilium string `json:"cilium"`
	// Kernel is its major and minor release, "6.18".
	Kernel string `json:"kernel"`
	// Lacks is what its nodes' kernel or namespaces do not have, of "wireguard",
	// "netkit", "geneve", "ipip", "xfrm output masks" and "net.core.default_qdisc".
	Lacks []string `json:"lacks,omitempty"`
	// Ports is net.ipv4.ip_local_port_range.
	Ports [2]int `json:"ports"`
}

// MachineOf is a machine with the facts of its nodes.
func MachineOf(version, kernel string, facts agent.NodeFacts) Machine {
	m := Machine{Cilium: version, Kernel: kernel, Ports: facts.EphemeralPorts}
	for _, kind := range m.kinds(&facts) {
		if *kind.fact == snapshot.No {
			m.Lacks = append(m.Lacks, kind.name)
		}
	}
	return m
}

type kind struct {
	name string
	fact *snapshot.Tri
}

func (Machine) kinds(f *agent.NodeFacts) []kind {
	return []kind{
		{"wireguard", &f.WireGuard}, {"netkit", &f.Netkit}, {"geneve", &f.Geneve}, {"ipip", &f.IPIP},
		{"xfrm output masks", &f.OutputMasks}, {"net.core.default_qdisc", &f.DefaultQdisc},
	}
}

// Facts are those of its nodes.
func (m Machine) Facts() agent.NodeFacts {
	f := agent.NodeFacts{Devices: []string{"eth0"}, IP6Tables: snapshot.Yes, EphemeralPorts: m.Ports}
	for _, kind := range m.kinds(&f) {
		*kind.fact = snapshot.TriOf(!slices.Contains(m.Lacks, kind.name))
	}
	return f
}

// Outcome is what became of an agent that was started.
type Outcome struct {
	Case string `json:"case"`
	// Starts: it was up when its start was over.
	Starts bool `json:"starts"`
	// NoDatapath is why its datapath did not initialise, or its start failed all the same.
	NoDatapath string `json:"noDatapath,omitempty"`
	// Message and Cause are those of its fatal line, when it ended by itself.
	Message string `json:"message,omitempty"`
	Cause   string `json:"cause,omitempty"`
	// NotTried says why it was not started.
	NotTried string `json:"notTried,omitempty"`
}

// Printed is what it said at its end.
func (o Outcome) Printed() string { return strings.TrimSuffix(o.Message+": "+o.Cause, ": ") }

// Wrong says how agent and catalogue differ; empty when they agree, or when the catalogue
// leaves open what only a fact of the node decides.
func (o Outcome) Wrong(want agent.Start) string {
	first := want.First()
	switch {
	case o.NotTried != "" || want.Starts == snapshot.Unknown:
		return ""
	case first != nil && o.Starts:
		return "it starts; " + first.ID + " says: " + first.Message
	case first != nil && !strings.Contains(o.Printed(), first.Message):
		return first.ID + " says: " + first.Message + "; it says: " + o.Printed()
	case first == nil && !o.Starts:
		return "the catalogue lets it start; it says: " + o.Printed()
	case first == nil && len(want.Datapath) == 0 && o.NoDatapath != "":
		return "its datapath does not initialise: " + o.NoDatapath
	case first == nil && len(want.Datapath) > 0 && !strings.Contains(o.NoDatapath, want.Datapath[0].Message):
		return want.Datapath[0].ID + " says: " + want.Datapath[0].Message + "; it says: " + o.NoDatapath
	}
	return ""
}

// Record is what one version did on one machine, by the cases' names.
type Record struct {
	Machine Machine
	Seen    map[string]Outcome
}

// Read reads the records of a folder, the oldest version first.
func Read(dir string) ([]Record, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return nil, err
	}
	var out []Record
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		r := Record{Seen: map[string]Outcome{}}
		lines := bufio.NewScanner(bytes.NewReader(text))
		for number := 1; lines.Scan(); number++ {
			var o Outcome
			if number == 1 {
				err = json.Unmarshal(lines.Bytes(), &r.Machine)
			} else {
				err = json.Unmarshal(lines.Bytes(), &o)
				r.Seen[o.Case] = o
			}
			if err != nil {
				return nil, fmt.Errorf("%s:%d: %w", file, number, err)
			}
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		out = append(out, r)
	}
	return out, nil
}

// Write writes the record into a folder, in the order of the cases; what is no case any
// more is left out.
func (r Record) Write(dir string) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r.Machine); err != nil {
		return err
	}
	for _, c := range Cases() {
		if o, ok := r.Seen[c.Name()]; ok {
			if err := encoder.Encode(o); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(filepath.Join(dir, r.Machine.Cilium+".jsonl"), text.Bytes(), 0o644)
}
