// A vCenter on loopback for tests: the model of govmomi's simulator, with a switch that carries jumbo frames, two networks
// of one name, host groups and a content library. It prints its URL and ends with its standard input.
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/url"
	"os"

	"github.com/vmware/govmomi"
	_ "github.com/vmware/govmomi/pbm/simulator"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vapi/library"
	"github.com/vmware/govmomi/vapi/rest"
	_ "github.com/vmware/govmomi/vapi/simulator"
	"github.com/vmware/govmomi/vapi/vcenter"
	"github.com/vmware/govmomi/vim25/types"
)

func main() {
	model := simulator.VPX()
	if err := model.Create(); err != nil {
		fail(err)
	}
	registry := model.Map()
	registry.Handler = keepSwapPlacement
	if err := tellHardwareVersion(registry); err != nil {
		fail(err)
	}

	dvs := registry.Any("DistributedVirtualSwitch").(*simulator.DistributedVirtualSwitch)
	dvs.Config.(*types.VMwareDVSConfigInfo).MaxMtu = 9000

	datacenter := registry.Any("Datacenter").(*simulator.Datacenter)
	networks := registry.Get(datacenter.NetworkFolder).(*simulator.Folder)
	other := &simulator.Folder{}
	other.Name = "other"
	other.ChildType = networks.ChildType
	registry.PutEntity(networks, other)
	networks.ChildEntity = append(networks.ChildEntity, other.Self)
	for _, folder := range []*simulator.Folder{networks, other} {
		twin := &simulator.DistributedVirtualPortgroup{}
		twin.Name = "twin"
		twin.Config.DistributedVirtualSwitch = &dvs.Self
		registry.PutEntity(folder, twin)
		folder.ChildEntity = append(folder.ChildEntity, twin.Self)
	}

	cluster := registry.Any("ClusterComputeResource").(*simulator.ClusterComputeResource)
	config := cluster.ConfigurationEx.(*types.ClusterConfigInfoEx)
	for name, hosts := range map[string][]types.ManagedObjectReference{
		"room-1": cluster.Host[:1],
		"room-2": cluster.Host[1:],
		"both":   cluster.Host,
		"empty":  nil,
	} {
		group := types.ClusterGroupInfo{Name: name}
		config.Group = append(config.Group, &types.ClusterHostGroup{ClusterGroupInfo: group, Host: hosts})
	}

	model.Service.TLS = new(tls.Config)
	// Content libraries and storage policies: services of their own.
	model.Service.RegisterEndpoints = true
	server := model.Service.NewServer()
	if err := fillLibrary(server.URL, registry); err != nil {
		fail(err)
	}
	fmt.Println(server.URL)
	_, _ = io.Copy(io.Discard, os.Stdin)
	server.Close()
	// The folders of its datastores.
	model.Remove()
}

// fillLibrary makes a library with an item of each kind that can be told apart: a template, and something else.
func fillLibrary(at *url.URL, registry *simulator.Registry) error {
	ctx := context.Background()
	client, err := govmomi.NewClient(ctx, at, true)
	if err != nil {
		return err
	}
	session := rest.NewClient(client.Client)
	if err := session.Login(ctx, at.User); err != nil {
		return err
	}
	manager := library.NewManager(session)
	datastore := registry.Any("Datastore").(*simulator.Datastore).Self.Value
	id, err := manager.CreateLibrary(ctx, library.Library{
		Name:    "images",
		Type:    "LOCAL",
		Storage: []library.StorageBacking{{DatastoreID: datastore, Type: "DATASTORE"}},
	})
	if err != nil {
		return err
	}
	if _, err := manager.CreateLibraryItem(ctx, library.Item{Name: "tools", Type: "iso", LibraryID: id}); err != nil {
		return err
	}
	_, err = vcenter.NewManager(session).CreateTemplate(ctx, vcenter.Template{
		Name:     "debian-12",
		Library:  id,
		SourceVM: registry.Any("VirtualMachine").(*simulator.VirtualMachine).Self.Value,
		Placement: &vcenter.Placement{
			ResourcePool: registry.Any("ResourcePool").(*simulator.ResourcePool).Self.Value,
			Folder:       registry.Any("Datacenter").(*simulator.Datacenter).VmFolder.Value,
		},
	})
	return err
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
