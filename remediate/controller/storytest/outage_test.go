//go:build linux

package storytest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// apiGone: the API server is away while people merge, for longer than the Lease
// holds. The controller ends, is started again as a kubelet would, and goes on.
func (s *stage) apiGone(t *testing.T) {
	pr := s.incident(t)
	s.settle(t)
	s.bed.CutAPI()
	commit := s.bed.Merge(t, pr.Number)
	s.bed.UntilRunning(t, nativeKey, goodCIDR)
	time.Sleep(away())
	s.bed.RestoreAPI()
	s.meanwhile = func() {
		if s.proc.alive() != nil {
			s.proc.kill()
			s.proc.start(t)
		}
	}
	defer func() { s.meanwhile = nil }()
	s.wantOnce(t, commit)
}

// away is how long the API server is.
func away() time.Duration {
	if soaks() {
		return 5 * time.Minute
	}
	return 10 * time.Second
}

// expire ends all watches for less than the Lease holds, and meanwhile etcd forgets
// what they could go on from. The controller lives, and lists anew.
func (s *stage) expire(t *testing.T, version string) {
	t.Helper()
	s.bed.CutAPI()
	s.compact(t)
	s.bed.RestoreAPI()
	s.wantExpired(t, version)
	if err := s.proc.alive(); err != nil {
		t.Fatal(err)
	}
}

// version is the store's at this moment.
func (s *stage) version(t *testing.T) string {
	t.Helper()
	list, err := s.bed.Kube.CoreV1().ConfigMaps(metav1.NamespaceDefault).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	return list.ResourceVersion
}

// compact has etcd forget all revisions but the newest, over its gateway for JSON.
func (s *stage) compact(t *testing.T) {
	t.Helper()
	var now struct {
		Header struct {
			Revision string `json:"revision"`
		} `json:"header"`
	}
	s.etcd(t, "range", map[string]any{"key": "AA==", "count_only": true}, &now)
	s.etcd(t, "compaction", map[string]any{"revision": now.Header.Revision, "physical": true}, &struct{}{})
}

func (s *stage) etcd(t *testing.T, call string, ask, answer any) {
	t.Helper()
	text, err := json.Marshal(ask)
	must(t, err)
	resp, err := http.Post(s.bed.Server.Etcd+"/v3/kv/"+call, "application/json", bytes.NewReader(text))
	must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("etcd's %s: %s", call, resp.Status)
	}
	must(t, json.NewDecoder(resp.Body).Decode(answer))
}

// wantExpired: nobody can go on from a version any more.
func (s *stage) wantExpired(t *testing.T, version string) {
	t.Helper()
	w, err := s.bed.Kube.CoreV1().ConfigMaps(metav1.NamespaceDefault).Watch(t.Context(), metav1.ListOptions{ResourceVersion: version})
	if err != nil {
		return // it is refused at once
	}
	defer w.Stop()
	select {
	case e := <-w.ResultChan():
		if e.Type != watch.Error {
			t.Errorf("a watch of a version that is gone goes on with %s", e.Type)
		}
	case <-time.After(10 * time.Second):
		t.Error("a watch of a version that is gone goes on")
	}
}
