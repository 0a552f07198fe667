package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/cilium/cilium/pkg/crypto/certificatemanager"
	envoypolicy "github.com/cilium/cilium/pkg/envoy/policy"
	"github.com/cilium/cilium/pkg/identity"
	"github.com/cilium/cilium/pkg/identity/identitymanager"
	ipcachetypes "github.com/cilium/cilium/pkg/ipcache/types"
	"github.com/cilium/cilium/pkg/k8s"
	k8sconst "github.com/cilium/cilium/pkg/k8s/apis/cilium.io"
	cilium_v2 "github.com/cilium/cilium/pkg/k8s/apis/cilium.io/v2"
	slim_networkingv1 "github.com/cilium/cilium/pkg/k8s/slim/k8s/api/networking/v1"
	slim_metav1 "github.com/cilium/cilium/pkg/k8s/slim/k8s/apis/meta/v1"
	k8sutils "github.com/cilium/cilium/pkg/k8s/utils"
	"github.com/cilium/cilium/pkg/labels"
	"github.com/cilium/cilium/pkg/labelsfilter"
	"github.com/cilium/cilium/pkg/option"
	"github.com/cilium/cilium/pkg/policy"
	"github.com/cilium/cilium/pkg/policy/api"
	policytypes "github.com/cilium/cilium/pkg/policy/types"
	"github.com/cilium/cilium/pkg/spanstat"
	testidentity "github.com/cilium/cilium/pkg/testutils/identity"
	testpolicy "github.com/cilium/cilium/pkg/testutils/policy"
	"github.com/cilium/cilium/pkg/u8proto"
)

const clusterName = "default"

// engine is Cilium's policy repository filled with one case.
type engine struct {
	logger     *slog.Logger
	repo       *policy.Repository
	manager    identitymanager.IDManager
	identities []*identity.Identity
	refused    map[int]string
	distilled  map[int]*policy.EndpointPolicy
}

func newEngine(c *Case) (*engine, error) {
	e := &engine{logger: slog.New(slog.DiscardHandler), refused: map[int]string{}, distilled: map[int]*policy.EndpointPolicy{}}
	if err := configure(e.logger, c.Options); err != nil {
		return nil, err
	}
	rules := make([]api.Rules, len(c.Policies))
	ids := make([]ipcachetypes.ResourceID, len(c.Policies))
	var prefixes []netip.Prefix
	for i, raw := range c.Policies {
		var err error
		if rules[i], ids[i], err = e.parse(raw, c.Options.LocalClusterOnly); err != nil {
			e.refused[i] = err.Error()
			continue
		}
		prefixes = append(prefixes, policy.GetCIDRPrefixes(rules[i])...)
	}
	known := identity.IdentityMap{}
	for i := range c.Identities {
		id, err := newIdentity(&c.Identities[i], i, c.Namespaces, prefixes, c.Options)
		if err != nil {
			return nil, err
		}
		e.identities = append(e.identities, id)
		known[id.ID] = id.LabelArray
	}
	e.manager = identitymanager.NewIDManager(e.logger)
	translator := envoypolicy.NewEnvoyL7RulesTranslator(e.logger, certificatemanager.NewMockSecretManagerInline())
	e.repo = policy.NewPolicyRepository(e.logger, known, nil, translator, e.manager, testpolicy.NewPolicyMetricsNoop())
	e.repo.GetSelectorCache().SetLocalIdentityNotifier(testidentity.NewDummyIdentityNotifier())
	for i := range rules {
		if len(rules[i]) > 0 {
			e.repo.ReplaceByResource(rules[i], ids[i])
		}
	}
	return e, nil
}

// configure sets the process-wide options as a Kubernetes agent has them.
func configure(logger *slog.Logger, o Options) error {
	option.Config.AllowLocalhost = option.AllowLocalhostAlways
	option.Config.EnableIPv4 = o.SingleStack != "IPv6"
	option.Config.EnableIPv6 = o.SingleStack != "IPv4"
	option.Config.EnableL7Proxy = true
	option.Config.EnableICMPRules = true
	option.Config.EnableNonDefaultDenyPolicies = true
	option.Config.EnableNodeSelectorLabels = o.NodeLabels
	option.Config.PolicyCIDRMatchMode = nil
	if o.CIDRMatchNodes {
		option.Config.PolicyCIDRMatchMode = []string{"nodes"}
	}
	enforcement := o.Enforcement
	if enforcement == "" {
		enforcement = option.DefaultEnforcement
	}
	policy.SetPolicyEnabled(enforcement)
	return labelsfilter.ParseLabelPrefixCfg(logger, nil, nil, "")
}

func (e *engine) parse(raw json.RawMessage, localClusterOnly bool) (api.Rules, ipcachetypes.ResourceID, error) {
	var meta struct {
		slim_metav1.TypeMeta   `json:",inline"`
		slim_metav1.ObjectMeta `json:"metadata"`
	}
	if err := json.Unmarshal(raw, &meta); err != nil {
		return nil, "", err
	}
	id := ipcachetypes.NewResourceID(ipcachetypes.ResourceKind(meta.Kind), meta.Namespace, meta.Name)
	cluster := ""
	if localClusterOnly {
		cluster = clusterName
	}
	switch meta.Kind {
	case "NetworkPolicy":
		var np slim_networkingv1.NetworkPolicy
		if err := json.Unmarshal(raw, &np); err != nil {
			return nil, id, err
		}
		rules, err := k8s.ParseNetworkPolicy(e.logger, cluster, &np)
		return rules, id, err
	case "CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy":
		var cnp cilium_v2.CiliumNetworkPolicy
		if err := json.Unmarshal(raw, &cnp); err != nil {
			return nil, id, err
		}
		rules, err := cnp.Parse(e.logger, cluster)
		return rules, id, err
	}
	return nil, id, fmt.Errorf("kind %q is no policy", meta.Kind)
}

type namespace struct {
	name   string
	labels map[string]string
}

func (n namespace) GetName() string              { return n.name }
func (n namespace) GetLabels() map[string]string { return n.labels }

// newIdentity gives the labels that the agent would: filtered pod labels, node
// labels, or for addresses outside the longest prefix that any policy names.
func newIdentity(c *Identity, index int, namespaces map[string]map[string]string, prefixes []netip.Prefix, o Options) (*identity.Identity, error) {
	if len(c.Reserved) == 0 {
		all := k8sutils.SanitizePodLabels(c.Labels, namespace{c.Namespace, namespaces[c.Namespace]}, "", clusterName)
		kept, _ := labelsfilter.Filter(labels.Map2Labels(all, labels.LabelSourceK8s))
		return identity.NewIdentity(identity.NumericIdentity(1000+index), kept), nil
	}
	lbls := labels.Labels{}
	outside := false
	for _, name := range c.Reserved {
		if name == labels.IDNameWorld {
			outside = true
			continue
		}
		lbls[name] = labels.NewLabel(name, "", labels.LabelSourceReserved)
	}
	node := lbls.HasHostLabel() || lbls.HasRemoteNodeLabel()
	if outside || (node && o.CIDRMatchNodes) {
		addr, err := netip.ParseAddr(c.IP)
		if err != nil {
			return nil, fmt.Errorf("identity %d: %w", index, err)
		}
		prefix := longest(addr, prefixes)
		if node {
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		lbls.MergeLabels(labels.GetCIDRLabels(prefix))
	}
	if o.NodeLabels && lbls.HasRemoteNodeLabel() {
		lbls.MergeLabels(labels.Map2Labels(c.Labels, labels.LabelSourceNode))
		lbls.MergeLabels(labels.Map2Labels(map[string]string{k8sconst.PolicyLabelCluster: clusterName}, labels.LabelSourceK8s))
	}
	if node {
		for _, world := range []string{labels.IDNameWorld, labels.IDNameWorldIPv4, labels.IDNameWorldIPv6} {
			delete(lbls, world)
		}
	}
	if id := identity.LookupReservedIdentityByLabels(lbls); id != nil {
		return identity.NewIdentity(id.ID, lbls), nil
	}
	scope := identity.IdentityScopeLocal
	if node {
		scope = identity.IdentityScopeRemoteNode
	}
	return identity.NewIdentity(scope|identity.NumericIdentity(1+index), lbls), nil
}

func longest(addr netip.Addr, prefixes []netip.Prefix) netip.Prefix {
	best := netip.PrefixFrom(addr, 0).Masked()
	for _, p := range prefixes {
		if p.Contains(addr) && p.Bits() > best.Bits() {
			best = p.Masked()
		}
	}
	return best
}

var protocols = map[string]u8proto.U8proto{
	"TCP": u8proto.TCP, "UDP": u8proto.UDP, "SCTP": u8proto.SCTP, "ICMP": u8proto.ICMP, "ICMPv6": u8proto.ICMPv6,
}

func (e *engine) verdict(f Flow) (string, error) {
	proto, ok := protocols[f.Proto]
	if !ok || f.Port == 0 || f.Subject >= len(e.identities) || f.Peer >= len(e.identities) {
		return "", fmt.Errorf("flow %+v is no question", f)
	}
	distilled, err := e.distill(f.Subject)
	if err != nil {
		return "", err
	}
	key := policy.EgressKey()
	if f.Ingress {
		key = policy.IngressKey()
	}
	peer := e.identities[f.Peer]
	entry, _, _ := distilled.Lookup(key.WithIdentity(peer.ID).WithPortProto(proto, f.Port))
	switch {
	case entry.IsDeny():
		return "deny", nil
	case entry.AuthRequirement.AuthType() != policytypes.AuthTypeDisabled:
		return "auth", nil
	case entry.IsRedirectEntry():
		return "redirect", nil
	}
	return "allow", nil
}

// distill resolves a subject's policy with every proxy redirect in place.
func (e *engine) distill(subject int) (*policy.EndpointPolicy, error) {
	if p := e.distilled[subject]; p != nil {
		return p, nil
	}
	id := e.identities[subject]
	e.manager.Add(id)
	selectors, _, err := e.repo.GetSelectorPolicy(id, 0, &statistics{}, uint64(1+subject))
	if err != nil {
		return nil, err
	}
	owner := &policy.EndpointInfo{ID: uint64(1 + subject), TCPNamedPorts: map[string]uint16{"http": 80}}
	redirects := map[string]uint16{}
	for filter, tuple := range selectors.RedirectFilters() {
		name := policy.ProxyID(uint16(owner.ID), filter.Ingress, string(filter.Protocol), filter.Port, tuple.Policy.GetListener())
		redirects[name] = 10000
	}
	p := selectors.DistillPolicy(e.logger, owner, redirects)
	if err := p.Ready(); err != nil {
		return nil, err
	}
	e.distilled[subject] = p
	return p, nil
}

// statistics takes the measurements that GetSelectorPolicy makes.
type statistics struct{ waiting, calculating spanstat.SpanStat }

func (s *statistics) WaitingForPolicyRepository() *spanstat.SpanStat { return &s.waiting }
func (s *statistics) SelectorPolicyCalculation() *spanstat.SpanStat  { return &s.calculating }
