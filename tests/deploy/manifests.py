"""Checks the manifests for Kubernetes and the configuration of Traefik: that they parse, and that what one says fits the rest."""

import pathlib
import subprocess
import sys
import tempfile

import yaml

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"


def main(binary):
    manifests = {path.name: load(path) for path in (DEPLOY / "kubernetes").glob("*.yaml")}
    listed = manifests["kustomization.yaml"]["resources"]
    assert sorted(listed) == sorted(set(manifests) - {"kustomization.yaml"}), f"kustomization.yaml lists {listed}"

    stateful, service, config_map, ingress = (
        manifests[name] for name in ("statefulset.yaml", "service.yaml", "configmap.yaml", "ingress.yaml")
    )
    pod = stateful["spec"]["template"]
    [container] = pod["spec"]["containers"]
    settings = config_map["data"]["hubcast.toml"]
    check_names(stateful, service, config_map, ingress)
    check_probes(container)
    check_least_privilege(pod["spec"], container)
    check_drain(pod["spec"], container, settings)
    check_settings(binary, container, settings)

    traefik = load(DEPLOY / "proxies" / "traefik.yaml")["http"]
    [router] = traefik["routers"].values()
    assert router["service"] in traefik["services"], "the router names a service that there is not"
    print("the manifests fit")


def load(path):
    [document] = yaml.load_all(path.read_text(), StrictLoader)
    return document


class StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping: the last one would win without a word."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"{node.start_mark}: a key stands twice in {keys}"
        return super().construct_mapping(node, deep)


def check_names(stateful, service, config_map, ingress):
    labels = stateful["spec"]["template"]["metadata"]["labels"].items()
    for selector in (stateful["spec"]["selector"]["matchLabels"], service["spec"]["selector"]):
        assert selector.items() <= labels, f"{selector} selects no pod"
    assert stateful["spec"]["serviceName"] == service["metadata"]["name"]
    assert stateful["spec"]["replicas"] == 1, "there is no cluster"
    volumes = stateful["spec"]["template"]["spec"]["volumes"]
    claims = stateful["spec"]["volumeClaimTemplates"]
    [container] = stateful["spec"]["template"]["spec"]["containers"]
    names = {volume["name"] for volume in volumes} | {claim["metadata"]["name"] for claim in claims}
    assert {mount["name"] for mount in container["volumeMounts"]} == names
    assert {"name": "config", "configMap": {"name": config_map["metadata"]["name"]}} in volumes
    ports = {port["name"] for port in container["ports"]}
    [port] = service["spec"]["ports"]
    assert port["targetPort"] in ports
    for rule in ingress["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            backend = path["backend"]["service"]
            assert backend == {"name": service["metadata"]["name"], "port": {"name": port["name"]}}


def check_probes(container):
    ports = {port["name"] for port in container["ports"]}
    for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        get = container[probe]["httpGet"]
        assert get["path"] == path and get["port"] in ports, f"{probe}: {get}"


def check_least_privilege(pod, container):
    security = container["securityContext"]
    assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert pod["securityContext"]["runAsNonRoot"] and pod["automountServiceAccountToken"] is False


def check_drain(pod, container, settings):
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = next(line.split('"')[1] for line in settings.splitlines() if line.startswith("drain_deadline"))
    grace = pod["terminationGracePeriodSeconds"]
    assert grace >= pause + int(drain.removesuffix("s")) + 15, f"{grace} s are too few for {pause} s and {drain}"


def check_settings(binary, container, settings):
    """The program takes the configuration, and finds it where the pod says."""
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert container["args"] == ["--config", mounts["config"] + "/hubcast.toml"]
    with tempfile.TemporaryDirectory() as work:
        secret = pathlib.Path(work, "token.secret")
        secret.write_text("0123456789abcdef0123456789abcdef")
        assert mounts["secret"] + "/token.secret" in settings
        settings = settings.replace(mounts["secret"] + "/token.secret", str(secret))
        path = pathlib.Path(work, "hubcast.toml")
        path.write_text(settings)
        ended = subprocess.run([binary, "check-config", "--config", path], capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        for line in (f'state_dir = "{mounts["state"]}"', 'listen = "0.0.0.0:8080"'):
            assert line in ended.stdout, f"{line} is not in\n{ended.stdout}"


main(sys.argv[1])
