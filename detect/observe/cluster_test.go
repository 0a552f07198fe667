package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// apiServer stands in for an API server: lists of raw objects by path, paged as
// asked, with fields selected by name and type.
type apiServer struct {
	t       *testing.T
	lists   map[string][]map[string]any
	denied  map[string]int // path → status code
	expired int            // how many continued pages answer 410

	mu    sync.Mutex
	asked []string
}

func (s *apiServer) start() *rest.Config {
	server := httptest.NewServer(s)
	s.t.Cleanup(server.Close)
	return &rest.Config{Host: server.URL}
}

func status(w http.ResponseWriter, code int, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"message":"no","code":%d}`, reason, code)
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.Method+" "+r.URL.Path)
	if code, ok := s.denied[r.URL.Path]; ok {
		status(w, code, map[int]string{401: "Unauthorized", 403: "Forbidden"}[code])
		return
	}
	if r.URL.Path == "/version" {
		fmt.Fprint(w, `{"gitVersion":"v1.33.1"}`)
		return
	}
	path, namespace := r.URL.Path, ""
	if before, after, ok := strings.Cut(path, "/namespaces/"); ok {
		ns, plural, _ := strings.Cut(after, "/")
		path, namespace = before+"/"+plural, ns
	}
	items, ok := s.lists[path]
	if !ok {
		status(w, 404, "NotFound")
		return
	}
	s.page(w, r, selected(items, namespace, r.URL.Query().Get("fieldSelector")))
}

func selected(items []map[string]any, namespace, fields string) []map[string]any {
	name, _ := strings.CutPrefix(fields, "metadata.name=")
	kind, byType := strings.CutPrefix(fields, "type=")
	return slices.DeleteFunc(slices.Clone(items), func(o map[string]any) bool {
		m := o["metadata"].(map[string]any)
		return namespace != "" && m["namespace"] != namespace ||
			strings.HasPrefix(fields, "metadata.name=") && m["name"] != name ||
			byType && o["type"] != kind
	})
}

// page serves two objects at a time, whatever limit says.
func (s *apiServer) page(w http.ResponseWriter, r *http.Request, items []map[string]any) {
	from := 0
	if token := r.URL.Query().Get("continue"); token != "" {
		if s.expired > 0 {
			s.expired--
			status(w, 410, "Expired")
			return
		}
		if _, err := fmt.Sscan(token, &from); err != nil {
			status(w, 400, "BadRequest")
			return
		}
	}
	next := ""
	to := min(from+2, len(items))
	if to < len(items) {
		next = fmt.Sprint(to)
	}
	err := json.NewEncoder(w).Encode(map[string]any{"metadata": map[string]any{"continue": next}, "items": items[from:to]})
	if err != nil {
		s.t.Error(err)
	}
}

// serve fills an API server with the objects of a folder.
func serve(t *testing.T, dir string) *apiServer {
	t.Helper()
	s := &apiServer{t: t, lists: map[string][]map[string]any{}, denied: map[string]int{}}
	for _, r := range resources("kube-system") {
		s.lists[r.path(r.versions[0], selector{})] = nil
	}
	walkObjects(t, dir, func(o map[string]any) {
		api, _ := o["apiVersion"].(string)
		kind, _ := o["kind"].(string)
		for _, r := range resources("kube-system") {
			if nameOf(api, kind) == (typeName{r.group, r.kind}) {
				delete(o, "kind")
				delete(o, "apiVersion")
				path := r.path(r.versions[0], selector{})
				s.lists[path] = append(s.lists[path], o)
			}
		}
	})
	return s
}

// walkObjects hands out all objects of a folder, undecoded.
func walkObjects(t *testing.T, dir string, each func(map[string]any)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		open := func() (io.ReadCloser, error) { return os.Open(path) }
		if ok, err := looksLikeObjects(open); !isObjectFile(path) && !ok || err != nil {
			return err
		}
		return splitYAML(open, defaultLimits(), func(c chunk) error {
			raw, err := yamlToJSON(c.text, defaultLimits())
			if err != nil || raw == nil {
				return err
			}
			var o map[string]any
			if err := json.Unmarshal(raw, &o); err != nil {
				return err
			}
			items, ok := o["items"].([]any)
			if !ok {
				each(o)
				return nil
			}
			implied := typeMeta{o["apiVersion"].(string), o["kind"].(string)}.itemType()
			for _, item := range items {
				i := item.(map[string]any)
				if i["kind"] == nil {
					i["kind"], i["apiVersion"] = implied.Kind, implied.APIVersion
				}
				each(i)
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestClusterEqualsFolder(t *testing.T) {
	for _, dir := range []string{"testdata/kinds", "../../examples/incidents/talos-ipv6-ula/snapshot"} {
		t.Run(filepath.Base(filepath.Dir(dir)), func(t *testing.T) {
			s := serve(t, dir)
			got, err := Cluster(context.Background(), s.start(), ClusterOptions{Origin: "here"})
			if err != nil {
				t.Fatal(err)
			}
			want, err := Dir(context.Background(), dir)
			if err != nil {
				t.Fatal(err)
			}
			// A folder says nothing of kinds it has no object of, and this one
			// holds what no cluster is asked for: a machine configuration, and
			// an event of the newer group.
			got.ReadKinds, want.ReadKinds = nil, nil
			got.Origin, want.Origin = "", ""
			got.Unreadable = nil
			want.NodeCIDRs = nil
			want.ServiceCIDRs, got.ServiceCIDRs = nil, nil
			want.Events = slices.DeleteFunc(want.Events, func(e snapshot.Event) bool { return e.Source == "Event flux-system/e5" })
			if diff := cmp.Diff(dump(t, want), dump(t, got)); diff != "" {
				t.Errorf("(-folder +cluster):\n%s", diff)
			}
		})
	}
}

func TestClusterOnlyReadsAndNeverSecrets(t *testing.T) {
	s := serve(t, "testdata/kinds")
	if _, err := Cluster(context.Background(), s.start(), ClusterOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(s.asked) < 26 {
		t.Errorf("only %d requests", len(s.asked))
	}
	for _, request := range s.asked {
		if !strings.HasPrefix(request, "GET ") || strings.Contains(request, "secret") {
			t.Errorf("request %s", request)
		}
		if strings.HasSuffix(request, "/configmaps") && !strings.Contains(request, "/namespaces/kube-system/") {
			t.Errorf("request for all ConfigMaps: %s", request)
		}
	}
}

func TestClusterWhatCannotBeRead(t *testing.T) {
	s := serve(t, "testdata/kinds")
	s.denied["/api/v1/nodes"] = 403
	s.denied["/apis/networking.k8s.io/v1/networkpolicies"] = 403
	delete(s.lists, "/apis/cilium.io/v2/ciliumbgpclusterconfigs")
	delete(s.lists, "/apis/cilium.io/v2/ciliumbgppeeringpolicies")
	delete(s.lists, "/apis/remediate.dev/v1alpha1/probereports")
	s.lists["/apis/cilium.io/v2alpha1/ciliumpodippools"] = s.lists["/apis/cilium.io/v2/ciliumpodippools"]
	delete(s.lists, "/apis/cilium.io/v2/ciliumpodippools")
	s.lists["/api/v1/pods"] = append(s.lists["/api/v1/pods"], map[string]any{
		"metadata": map[string]any{"name": "odd", "namespace": "apps"}, "status": map[string]any{"podIP": "x"},
	})
	got, err := Cluster(context.Background(), s.start(), ClusterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"CiliumBGPClusterConfig: not installed",
		"CiliumBGPPeeringPolicy: not installed",
		"NetworkPolicy: not allowed to list it",
		"Node: not allowed to list it",
		"ProbeReport: not installed",
		`passed over: Pod apps/odd: status.podIPs[0].ip: "x" is not an IP address`,
	}
	if diff := cmp.Diff(want, got.Unreadable); diff != "" {
		t.Errorf("Unreadable (-want +got):\n%s", diff)
	}
	for kind, read := range map[string]bool{"Node": false, "NetworkPolicy": false, "ProbeReport": false, "CiliumPodIPPool": true, "Pod": true, "Deployment": true} {
		if got.Read(kind) != read {
			t.Errorf("Read(%s) = %v", kind, !read)
		}
	}
	if len(got.PodPools) != 6 {
		t.Errorf("pools of the older version are missing: %v", got.PodPools)
	}
	if got.HasBGP.String() != "no" { // cilium-config has the control plane off
		t.Errorf("HasBGP = %v", got.HasBGP)
	}
}

func TestClusterExpiredList(t *testing.T) {
	s := serve(t, "../../examples/incidents/talos-ipv6-ula/snapshot")
	s.expired = 1
	got, err := Cluster(context.Background(), s.start(), ClusterOptions{})
	if err != nil || len(got.Nodes) != 6 {
		t.Fatalf("%v", err)
	}
	s.expired = 2
	if _, err := Cluster(context.Background(), s.start(), ClusterOptions{}); err == nil {
		t.Error("a list that keeps expiring succeeds")
	}
}

func TestClusterErrors(t *testing.T) {
	release := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(silent.Close)
	t.Cleanup(func() { close(release) })
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	refusing := serve(t, "testdata/kinds")
	refusing.denied["/version"] = 401
	late := serve(t, "testdata/kinds")
	late.denied["/api/v1/pods"] = 401
	tests := []struct {
		name     string
		host     string
		want     string
		noAnswer bool
	}{
		{"does not answer", silent.URL, "the cluster does not answer: " + silent.URL + ", within 50ms: check the kubeconfig and the network, or give --snapshot", true},
		{"is not there", gone.URL, "the cluster does not answer", true},
		{"refuses the credentials", refusing.start().Host, "refuses the credentials", false},
		{"refuses later", late.start().Host, "list pods: ", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Cluster(context.Background(), &rest.Config{Host: tt.host}, ClusterOptions{Timeout: 50 * time.Millisecond})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error = %v, want %q", err, tt.want)
			}
			if errors.Is(err, ErrNoAnswer) != tt.noAnswer {
				t.Errorf("errors.Is(err, ErrNoAnswer) = %v", !tt.noAnswer)
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Cluster(ctx, &rest.Config{Host: silent.URL}, ClusterOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
