package kubetest

import (
	_ "embed"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"
)

//go:embed role.yaml
var role []byte

// Namespace makes a namespace in which user-1 and user-2 may do what an installation lets the controller do, with these Deployments; without any,
// with the one that role.yaml names. It returns a client that may do everything.
func (s *Server) Namespace(t testing.TB, deployments ...string) (name string, admin kubernetes.Interface) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	admin, err := kubernetes.NewForConfig(s.Config(Admin))
	check(err)
	ns, err := admin.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "t-"}}, metav1.CreateOptions{})
	check(err)
	rights := new(rbacv1.Role)
	check(yaml.UnmarshalStrict(role, rights))
	for i := range rights.Rules {
		if rights.Rules[i].Resources[0] == "deployments/scale" && len(deployments) > 0 {
			rights.Rules[i].ResourceNames = deployments
		}
	}
	_, err = admin.RbacV1().Roles(ns.Name).Create(t.Context(), rights, metav1.CreateOptions{})
	check(err)
	_, err = admin.RbacV1().RoleBindings(ns.Name).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: rights.Name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: rights.Name},
		Subjects: []rbacv1.Subject{{Kind: "User", Name: "user-1"}, {Kind: "User", Name: "user-2"}},
	}, metav1.CreateOptions{})
	check(err)
	return ns.Name, admin
}
