package observe

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// Names of the ConfigMaps that are read. kubeadm's is described in kubeadm's
// ClusterConfiguration reference; Talos has no ConfigMap of its own, so any
// whose name says talos and whose content is a machine configuration counts.
const (
	agentConfigName   = "cilium-config"
	masqAgentName     = "ip-masq-agent"
	kubeadmConfigName = "kubeadm-config"
	kubeadmKey        = "ClusterConfiguration"
	masqAgentKey      = "config"
)

type configMap struct {
	header
	Data map[string]string `json:"data,omitempty"`
}

// reduce keeps of the agent's configuration everything that is no secret, and
// of the other ConfigMaps only what states ranges.
func (o *configMap) reduce() (bool, error) {
	managed := o.Metadata.ManagedFields
	o.keepNothing()
	switch name := o.Metadata.Name; {
	case name == agentConfigName:
		o.Data = scrubConfig(o.Data)
		o.Metadata.ManagedFields = dataOnly(managed)
	case name == masqAgentName:
		o.Data = pick(o.Data, masqAgentKey)
	case name == kubeadmConfigName:
		return o.reduceKubeadm()
	case strings.Contains(name, "talos"):
		return o.reduceTalos()
	default:
		return false, nil
	}
	return true, nil
}

// dataOnly keeps the times at which managers changed the data.
func dataOnly(fields []managedField) []managedField {
	var out []managedField
	for _, f := range fields {
		if _, ok := f.FieldsV1["f:data"]; ok && !f.Time.IsZero() {
			out = append(out, managedField{
				Manager: f.Manager, Time: f.Time,
				FieldsV1: map[string]json.RawMessage{"f:data": json.RawMessage("{}")},
			})
		}
	}
	return out
}

func pick(data map[string]string, key string) map[string]string {
	v, ok := data[key]
	if !ok {
		return nil
	}
	return map[string]string{key: scrub(v)}
}

type kubeadmConfig struct {
	Networking struct {
		PodSubnet     string `json:"podSubnet,omitempty"`
		ServiceSubnet string `json:"serviceSubnet,omitempty"`
	} `json:"networking"`
}

func (o *configMap) reduceKubeadm() (bool, error) {
	var c kubeadmConfig
	if err := unmarshalSmall(o.Data[kubeadmKey], &c); err != nil {
		return false, at(err, "data", kubeadmKey)
	}
	err := checkPrefixes(slices.Concat(splitList(c.Networking.PodSubnet), splitList(c.Networking.ServiceSubnet)), "data", kubeadmKey)
	if err != nil {
		return false, err
	}
	return true, o.replaceData(kubeadmKey, c)
}

// talosConfig is the part of a Talos machine configuration (v1alpha1) that
// states ranges.
type talosConfig struct {
	Cluster struct {
		Network struct {
			PodSubnets     []string `json:"podSubnets,omitempty"`
			ServiceSubnets []string `json:"serviceSubnets,omitempty"`
		} `json:"network,omitzero"`
	} `json:"cluster,omitzero"`
	Machine struct {
		Kubelet struct {
			NodeIP struct {
				ValidSubnets []string `json:"validSubnets,omitempty"`
			} `json:"nodeIP,omitzero"`
		} `json:"kubelet,omitzero"`
	} `json:"machine,omitzero"`
}

func (o *configMap) reduceTalos() (bool, error) {
	for _, key := range sortedKeys(o.Data) {
		var c talosConfig
		if unmarshalSmall(o.Data[key], &c) != nil {
			continue
		}
		n := c.Cluster.Network
		if len(n.PodSubnets)+len(n.ServiceSubnets) == 0 {
			continue
		}
		c.Machine.Kubelet.NodeIP.ValidSubnets = slices.DeleteFunc(c.Machine.Kubelet.NodeIP.ValidSubnets,
			func(s string) bool { return strings.HasPrefix(s, "!") })
		if err := checkPrefixes(slices.Concat(n.PodSubnets, n.ServiceSubnets, c.Machine.Kubelet.NodeIP.ValidSubnets), "data", key); err != nil {
			return false, err
		}
		return true, o.replaceData(key, c)
	}
	return false, nil
}

// replaceData makes key the only content, with v as its YAML.
func (o *configMap) replaceData(key string, v any) error {
	text, err := yaml.Marshal(v)
	if err != nil {
		return fmt.Errorf("write back %s: %w", key, err)
	}
	o.Data = map[string]string{key: string(text)}
	return nil
}

// unmarshalSmall reads the first document of YAML text held in a ConfigMap,
// with the bounds of any other document.
func unmarshalSmall(text string, into any) error {
	raw, err := yamlToJSON([]byte(text), defaultLimits())
	if err != nil {
		return err
	}
	if len(raw) == 0 {
		return nil
	}
	return json.Unmarshal(raw, into)
}

func (o *configMap) fill(b *builder) { b.configMaps[o.key()] = o }

// changed is when the data last changed: the newest time of a manager that owns
// part of it. Zero when nothing says so.
func (o *configMap) changed() time.Time {
	var newest time.Time
	for _, f := range o.Metadata.ManagedFields {
		if f.Time.After(newest) {
			newest = f.Time.UTC()
		}
	}
	return newest
}

// readConfigMaps puts the ConfigMaps' facts into the snapshot. Of several of
// one name kube-system's counts, else the first namespace's.
func (b *builder) readConfigMaps() {
	if c := b.configMapNamed(agentConfigName); c != nil {
		b.snap.AgentConfig = snapshot.Known(c.Data, c.source())
		b.snap.AgentConfigChanged = c.changed()
		b.readAgentPools(c)
	}
	if c := b.configMapNamed(masqAgentName); c != nil {
		if text, ok := c.Data[masqAgentKey]; ok {
			b.snap.MasqAgentConfig = snapshot.Known(text, c.source())
		}
	}
	for _, key := range sortedKeys(b.configMaps) {
		c := b.configMaps[key]
		switch {
		case c.Metadata.Name == kubeadmConfigName:
			b.readKubeadm(c)
		case strings.Contains(c.Metadata.Name, "talos"):
			b.readTalos(c)
		}
	}
}

func (b *builder) configMapNamed(name string) *configMap {
	if c := b.configMaps["kube-system/"+name]; c != nil {
		return c
	}
	for _, key := range sortedKeys(b.configMaps) {
		if b.configMaps[key].Metadata.Name == name {
			return b.configMaps[key]
		}
	}
	return nil
}

// readAgentPools reads the operator's pools, which cilium-config states in mode
// cluster-pool (templates/cilium-configmap.yaml:1093, 1.18.6).
func (b *builder) readAgentPools(c *configMap) {
	if c.Data["ipam"] != snapshot.IPAMClusterPool {
		return
	}
	for _, family := range []string{"4", "6"} {
		key := "cluster-pool-ipv" + family + "-cidr"
		b.addPools(c.Data[key], c.source()+" "+key, snapshot.IPAMClusterPool)
		mask := "cluster-pool-ipv" + family + "-mask-size"
		b.addMaskSize("IPv"+family, c.Data[mask], c.source()+" "+mask)
	}
}

func (b *builder) readKubeadm(c *configMap) {
	var k kubeadmConfig
	if unmarshalSmall(c.Data[kubeadmKey], &k) != nil {
		return
	}
	b.addPools(k.Networking.PodSubnet, c.source()+" networking.podSubnet", snapshot.IPAMKubernetes)
	b.addServiceCIDRs(k.Networking.ServiceSubnet, c.source()+" networking.serviceSubnet")
}

func (b *builder) readTalos(c *configMap) {
	for _, key := range sortedKeys(c.Data) {
		var t talosConfig
		if unmarshalSmall(c.Data[key], &t) != nil {
			continue
		}
		b.addPools(strings.Join(t.Cluster.Network.PodSubnets, ","), c.source()+" cluster.network.podSubnets", snapshot.IPAMKubernetes)
		b.addServiceCIDRs(strings.Join(t.Cluster.Network.ServiceSubnets, ","), c.source()+" cluster.network.serviceSubnets")
		for _, p := range prefixesOf(t.Machine.Kubelet.NodeIP.ValidSubnets) {
			b.snap.NodeCIDRs = addCIDR(b.snap.NodeCIDRs, snapshot.CIDR{Prefix: p, Source: c.source() + " machine.kubelet.nodeIP.validSubnets"})
		}
	}
}
