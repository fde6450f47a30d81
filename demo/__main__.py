"""`python -m demo`: tells the story; exit code 1 where a scene does not hold."""

import sys
import time

from tests.localcluster.api import tool
from tests.localcluster.complaints import Complaint

from demo.scene import Scenes, StoryError
from demo.stage import NAMESPACE, stage
from demo.story import tell

GO_ON = """
That took {seconds:.0f} s (setting the stage: {setting:.0f} s). The cluster is still up; go on by hand:
   export KUBECONFIG={kubeconfig}
   kubectl get mdep -A          # kubectl is at {kubectl}
   kubectl exec -n {namespace} chat-ui -- python3 ask.py 'your prompt'
   kubectl edit mdep demo -n {namespace}
and clean up with:
   make demo-down
"""


def main() -> int:
    try:
        return _run()
    except Complaint as complaint:
        print(f"demo: {complaint}", file=sys.stderr)
        return 1


def _run() -> int:
    began = time.monotonic()
    with stage() as ready:
        setting = time.monotonic() - began
        try:
            tell(Scenes(ready))
        except StoryError as error:
            print(f"\nThe story broke: {error}", file=sys.stderr)
            print(f"The cluster is still up for a look: export KUBECONFIG={ready.cluster.kubeconfig}", file=sys.stderr)
            return 1
        seconds = time.monotonic() - began
        print(
            GO_ON.format(
                seconds=seconds,
                setting=setting,
                kubeconfig=ready.cluster.kubeconfig,
                kubectl=tool("kubectl"),
                namespace=NAMESPACE,
            )
        )
    return 0


sys.exit(main())
