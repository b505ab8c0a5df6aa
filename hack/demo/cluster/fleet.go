package cluster

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/surgewall/surgewall/hack/demo/api"
)

// Deployment is the name of the fleet's Deployment.
const Deployment = Release + "-" + Fleet

// Watch follows the replicas of the fleet's Deployment until ctx ends. The first entry is there when it returns.
func (c *Cluster) Watch(ctx context.Context) (*Timeline, error) {
	deployments := c.Kube.AppsV1().Deployments(Namespace)
	d, err := deployments.Get(ctx, Deployment, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("look at the fleet: %w", err)
	}
	line := &Timeline{}
	line.Add(scaleOf(d))
	go func() {
		version := d.ResourceVersion
		for ctx.Err() == nil {
			version = c.follow(ctx, line, version)
			// Whatever ended the watch may end the next one as soon as it begins.
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	return line, nil
}

// follow adds what one watch sees to the timeline, and returns the version from which the next watch goes on. It is empty, which is from
// what there is then, when the API server no longer has this one.
func (c *Cluster) follow(ctx context.Context, line *Timeline, version string) string {
	w, err := c.Kube.AppsV1().Deployments(Namespace).Watch(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("metadata.name", Deployment).String(), ResourceVersion: version,
	})
	if err != nil {
		return ""
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		if event.Type == watch.Error {
			return ""
		}
		if d, ok := event.Object.(*appsv1.Deployment); ok {
			line.Add(scaleOf(d))
			version = d.ResourceVersion
		}
	}
	return version
}

func scaleOf(d *appsv1.Deployment) Scale {
	spec := 1 // what the API server makes of an absent one
	if d.Spec.Replicas != nil {
		spec = int(*d.Spec.Replicas)
	}
	return Scale{At: time.Now(), Spec: spec, Ready: int(d.Status.ReadyReplicas)}
}

// Edges lists the fleet's pods, terminating ones included.
func (c *Cluster) Edges(ctx context.Context) ([]corev1.Pod, error) {
	return c.Pods(ctx, "surgewall.io/fleet="+Fleet)
}

// Pods lists pods by label.
func (c *Cluster) Pods(ctx context.Context, selector string) ([]corev1.Pod, error) {
	list, err := c.Kube.CoreV1().Pods(Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// RequestsMetric counts the requests that an edge has answered.
const RequestsMetric = "surgewall_requests_total"

// Requests asks an edge how many requests it has answered, through the API server.
func (c *Cluster) Requests(ctx context.Context, pod string) (uint64, error) {
	text, err := c.metrics(ctx, pod)
	if err != nil {
		return 0, err
	}
	return SumMetric(text, RequestsMetric)
}

func (c *Cluster) metrics(ctx context.Context, pod string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second) // one that is gone may never answer
	defer cancel()
	text, err := c.Kube.CoreV1().RESTClient().Get().Namespace(Namespace).Resource("pods").Name(pod + ":9090").SubResource("proxy").Suffix("metrics").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", pod, err)
	}
	return text, nil
}

// Followed is how an edge or a shield follows the log of content updates.
type Followed struct {
	Pod  string
	Live bool   // by the broker, or over HTTP, from a position that is known
	Gaps uint64 // times that it may have missed something, and so distrusted what it has stored
}

// Followers asks every edge and every shield that is Ready how it follows the log of content updates.
func (c *Cluster) Followers(ctx context.Context) (edges, shields []Followed, err error) {
	for _, tier := range []struct {
		component string
		into      *[]Followed
	}{{"edge", &edges}, {"shield", &shields}} {
		pods, err := c.Pods(ctx, "app.kubernetes.io/component="+tier.component)
		if err != nil {
			return nil, nil, err
		}
		for _, p := range pods {
			if p.DeletionTimestamp != nil || !IsReady(p) {
				continue
			}
			text, err := c.metrics(ctx, p.Name)
			if err != nil {
				return nil, nil, err
			}
			f, err := followed(p.Name, text)
			if err != nil {
				return nil, nil, fmt.Errorf("metrics of %s: %w", p.Name, err)
			}
			*tier.into = append(*tier.into, f)
		}
	}
	return edges, shields, nil
}

// AwaitFollowers waits until every edge and every shield follows the log of content updates. Who has yet to find its place in it distrusts what
// it has stored then, and a crowd that is there already sees that at the origin.
func (c *Cluster) AwaitFollowers(ctx context.Context, limit time.Duration) error {
	return Await(ctx, "every edge and every shield to follow the content log", limit, 500*time.Millisecond, func(ctx context.Context) (bool, error) {
		edges, shields, err := c.Followers(ctx)
		if err != nil {
			return false, err
		}
		for _, tier := range [][]Followed{edges, shields} {
			if len(tier) == 0 || slices.ContainsFunc(tier, func(f Followed) bool { return !f.Live }) {
				return false, fmt.Errorf("edges %+v, shields %+v", edges, shields)
			}
		}
		return true, nil
	})
}

func followed(pod string, text []byte) (Followed, error) {
	live, err := value(text, "surgewall_content_live")
	if err != nil {
		return Followed{}, err
	}
	offset, err := value(text, "surgewall_content_offset")
	if err != nil {
		return Followed{}, err
	}
	gaps, err := value(text, "surgewall_content_gaps_total")
	return Followed{Pod: pod, Live: live == 1 && offset >= 0, Gaps: uint64(gaps)}, err
}

// SumMetric adds up all series of one metric in the Prometheus text format.
func SumMetric(text []byte, name string) (uint64, error) {
	sum, err := value(text, name)
	return uint64(sum), err
}

func value(text []byte, name string) (float64, error) {
	sum, found := 0.0, false
	for scan := bufio.NewScanner(bytes.NewReader(text)); scan.Scan(); {
		rest, ok := strings.CutPrefix(scan.Text(), name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		value, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", name, err)
		}
		sum, found = sum+value, true
	}
	if !found {
		return 0, fmt.Errorf("there is no metric %s", name)
	}
	return sum, nil
}

// Patch sets keys of the fleet's policy and returns the ConfigMap's new resourceVersion; a nil value removes the key.
func (c *Cluster) Patch(ctx context.Context, keys map[string]*string) (string, error) {
	patch, err := json.Marshal(map[string]any{"data": keys})
	if err != nil {
		return "", err
	}
	version := ""
	// A busy API server may refuse or forget a call; the same keys twice are the same edit.
	err = Await(ctx, "an edit of the policy", 30*time.Second, time.Second, func(ctx context.Context) (bool, error) {
		var err error
		version, err = c.Kubectl(ctx, "patch", "configmap", Fleet, "--type", "merge", "--patch", string(patch), "-o", "jsonpath={.metadata.resourceVersion}")
		return err == nil, err
	})
	return strings.TrimSpace(version), err
}

// SetPolicy sets keys of the policy and waits until the leader has taken them.
func (c *Cluster) SetPolicy(ctx context.Context, keys map[string]string) error {
	pointers := map[string]*string{}
	for k, v := range keys {
		pointers[k] = &v
	}
	version, err := c.Patch(ctx, pointers)
	if err != nil {
		return err
	}
	return c.AwaitPolicy(ctx, version, time.Minute)
}

// AwaitPolicy waits until the leader has the policy of this resourceVersion in force.
func (c *Cluster) AwaitPolicy(ctx context.Context, version string, limit time.Duration) error {
	return Await(ctx, "policy "+version+" in force", limit, 20*time.Millisecond, func(ctx context.Context) (bool, error) {
		f, err := c.Controller.Fleet(ctx, Fleet)
		if err != nil {
			return false, err
		}
		if f.Policy.Error != "" {
			return false, fmt.Errorf("the controller says: %s", f.Policy.Error)
		}
		return f.IsLeader && f.Policy.ResourceVersion == version, nil
	})
}

// Leader asks until the controller that leads answers: each replica counts for itself, and the Service leads to any of them.
func (c *Cluster) Leader(ctx context.Context) (f api.Fleet, err error) {
	err = Await(ctx, "an answer of the leader", 30*time.Second, 20*time.Millisecond, func(ctx context.Context) (bool, error) {
		var err error
		f, err = c.Controller.Fleet(ctx, Fleet)
		return f.IsLeader, err
	})
	return f, err
}

// KillPod ends a pod at once, as a crash of its node would.
func (c *Cluster) KillPod(ctx context.Context, name string) error {
	now := int64(0)
	return c.Kube.CoreV1().Pods(Namespace).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: &now})
}

// Worker is the node on which no test needs anything that there is one of.
const Worker = "surgewall-worker"

// KillNode ends a node's processes at once, as a loss of power would.
func (c *Cluster) KillNode(ctx context.Context, name string) error {
	_, err := output(ctx, c.Root, c.env, nil, c.tool("docker"), "kill", name)
	return err
}

// StartNode starts a node that was killed.
func (c *Cluster) StartNode(ctx context.Context, name string) error {
	_, err := output(ctx, c.Root, c.env, nil, c.tool("docker"), "start", name)
	return err
}
