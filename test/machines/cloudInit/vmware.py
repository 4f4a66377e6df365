"""What cloud-init itself makes of the guestinfo of a machine: its data source, its schema, its network renderer.

stdin: {"config": {key: value}}; stdout: JSON. The tool of VMware is a stand-in that keeps the keys in files.
"""
import json
import os
import stat
import sys
import tempfile

from cloudinit import helpers, util
from cloudinit.config.schema import get_schema, validate_cloudconfig_schema
from cloudinit.net import netplan, network_state
from cloudinit.sources import DataSourceVMware as vmware

RPCTOOL = """#!/bin/sh
action=${1%% *} rest=${1#* }
key=${rest%% *}
case $action in
  info-get) cat "STORE/$key" 2>/dev/null || { echo 'No value found' >&2; exit 1; } ;;
  info-set) value=${rest#"$key"}; printf '%s' "${value# }" >"STORE/$key" ;;
esac
"""


def main():
    config = json.load(sys.stdin)["config"]
    with tempfile.TemporaryDirectory() as folder:
        store = os.path.join(folder, "store")
        os.mkdir(store)
        for key, value in config.items():
            util.write_file(os.path.join(store, key), value)
        tool = os.path.join(folder, "vmware-rpctool")
        util.write_file(tool, RPCTOOL.replace("STORE", store))
        os.chmod(tool, stat.S_IRWXU)

        vmware.dmi.read_dmi_data = lambda key: "VMware7,1"
        paths = helpers.Paths({"cloud_dir": folder, "run_dir": folder})
        source = vmware.DataSourceVMware({}, None, paths)
        source.vmware_rpctool = tool
        found = source._get_data()
        user_data = util.decode_binary(source.userdata_raw or b"")
        document = util.load_yaml(user_data, default={})
        validate_cloudconfig_schema(document, schema=get_schema(), strict=True)

        network = source.network_config
        state = network_state.parse_net_config_data(network)
        rendered = netplan.Renderer({"netplan_path": "netplan.yaml"})._render_content(state)
        left = {}
        for key in sorted(os.listdir(store)):
            with open(os.path.join(store, key)) as kept:
                left[key] = kept.read()
        print(
            json.dumps(
                {
                    "found": found,
                    "instanceId": source.get_instance_id(),
                    "hostName": source.metadata["local-hostname"],
                    "userData": user_data,
                    "netplan": rendered,
                    "left": left,
                }
            )
        )


main()
