package conformance

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// oracleCase, oracleIdentity, oracleFlow and oracleAnswer are the lines that the
// program in oracle/ reads and writes; see there.
type oracleCase struct {
	Options    oracleOptions                `json:"options"`
	Namespaces map[string]map[string]string `json:"namespaces"`
	Identities []oracleIdentity             `json:"identities"`
	Policies   []map[string]any             `json:"policies"`
	Flows      []oracleFlow                 `json:"flows"`
}

type oracleOptions struct {
	Enforcement      string `json:"enforcement"`
	CIDRMatchNodes   bool   `json:"cidrMatchNodes"`
	SingleStack      string `json:"singleStack"`
	LocalClusterOnly bool   `json:"localClusterOnly"`
	NodeLabels       bool   `json:"nodeLabels"`
}

type oracleIdentity struct {
	Reserved  []string          `json:"reserved,omitempty"`
	Namespace string            `json:"namespace,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	IP        string            `json:"ip,omitempty"`
}

type oracleFlow struct {
	Subject int    `json:"subject"`
	Peer    int    `json:"peer"`
	Ingress bool   `json:"ingress"`
	Proto   string `json:"proto"`
	Port    int    `json:"port"`
}

type oracleAnswer struct {
	Verdicts []string       `json:"verdicts"`
	Refused  map[int]string `json:"refused"`
	Error    string         `json:"error"`
}

// oracle is a running process of Cilium's policy engine.
type oracle struct {
	in  io.WriteCloser
	out *bufio.Scanner
}

// startOracle builds and starts it; the first build on a machine takes minutes.
func startOracle(t *testing.T) *oracle {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "oracle")
	if _, err := goOutput("oracle", "build", "-o", bin, "."); err != nil {
		t.Fatalf("build the oracle: %v", err)
	}
	cmd := exec.Command(bin)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the oracle ended badly: %v", err)
		}
	})
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<24)
	return &oracle{in: in, out: lines}
}

func (o *oracle) ask(c *oracleCase) (oracleAnswer, error) {
	var a oracleAnswer
	line, err := json.Marshal(c)
	if err != nil {
		return a, err
	}
	if _, err := o.in.Write(append(line, '\n')); err != nil {
		return a, err
	}
	if !o.out.Scan() {
		return a, fmt.Errorf("the oracle says nothing more: %w", io.ErrUnexpectedEOF)
	}
	if err := json.Unmarshal(o.out.Bytes(), &a); err != nil {
		return a, err
	}
	if a.Error != "" {
		return a, fmt.Errorf("oracle: %s", a.Error)
	}
	return a, nil
}
