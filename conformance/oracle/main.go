// Command oracle answers policy questions with Cilium's own policy engine, so
// that remediate's model can be held against it. It reads one JSON case per line
// from standard input and writes one JSON answer per line.
//
// It is a module of its own because Cilium 1.18.6 does not compile with the
// Kubernetes libraries that remediate uses, and it shares no code with it.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/cilium/cilium/pkg/fqdn/re"
	"github.com/cilium/cilium/pkg/logging"
	"github.com/cilium/cilium/pkg/policy/api"
)

// Case is a set of policies and questions about it.
type Case struct {
	Options    Options                      `json:"options"`
	Namespaces map[string]map[string]string `json:"namespaces"`
	Identities []Identity                   `json:"identities"`
	// Policies are Kubernetes objects.
	Policies []json.RawMessage `json:"policies"`
	Flows    []Flow            `json:"flows"`
}

// Options of the agent that policies depend on.
type Options struct {
	Enforcement      string `json:"enforcement"`
	CIDRMatchNodes   bool   `json:"cidrMatchNodes"`
	SingleStack      string `json:"singleStack"`
	LocalClusterOnly bool   `json:"localClusterOnly"`
	NodeLabels       bool   `json:"nodeLabels"`
}

// Identity is a pod (namespace and labels) or what its reserved names say.
type Identity struct {
	Reserved  []string          `json:"reserved,omitempty"`
	Namespace string            `json:"namespace,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	IP        string            `json:"ip,omitempty"`
}

// Flow asks for one direction of one packet at the subject; both ends are
// indexes into the identities. Port is the type of an ICMP packet.
type Flow struct {
	Subject int    `json:"subject"`
	Peer    int    `json:"peer"`
	Ingress bool   `json:"ingress"`
	Proto   string `json:"proto"`
	Port    uint16 `json:"port"`
}

// Answer holds a verdict per flow: allow, deny, redirect (to a proxy that
// decides further) or auth (mutual authentication decides further).
type Answer struct {
	Verdicts []string `json:"verdicts,omitempty"`
	// Refused holds, by index, why Cilium does not take a policy.
	Refused map[int]string `json:"refused,omitempty"`
	Error   string         `json:"error,omitempty"`
}

func main() {
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(1)
	}
}

func serve(in io.Reader, out io.Writer) error {
	api.InitEntities(clusterName)
	logging.DefaultSlogLogger = slog.New(slog.DiscardHandler)
	if err := re.InitRegexCompileLRU(logging.DefaultSlogLogger, 128); err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<24)
	buffered := bufio.NewWriter(out)
	enc := json.NewEncoder(buffered)
	for lines.Scan() {
		if err := enc.Encode(answer(lines.Bytes())); err != nil {
			return err
		}
		if err := buffered.Flush(); err != nil {
			return err
		}
	}
	return lines.Err()
}

func answer(line []byte) Answer {
	var c Case
	if err := json.Unmarshal(line, &c); err != nil {
		return Answer{Error: err.Error()}
	}
	e, err := newEngine(&c)
	if err != nil {
		return Answer{Error: err.Error()}
	}
	a := Answer{Refused: e.refused}
	for _, f := range c.Flows {
		v, err := e.verdict(f)
		if err != nil {
			return Answer{Error: err.Error()}
		}
		a.Verdicts = append(a.Verdicts, v)
	}
	return a
}
