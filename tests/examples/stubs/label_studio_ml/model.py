from __future__ import annotations

from types import SimpleNamespace
from xml.etree import ElementTree


class LabelInterface:
    def __init__(self, config: str) -> None:
        self._root = ElementTree.fromstring(config)

    def get_first_tag_occurence(self, control_type: str, object_type: str) -> tuple[str, str, str]:
        control, shown = self._root.find(control_type), self._root.find(object_type)
        assert control is not None
        assert shown is not None
        return control.attrib["name"], shown.attrib["name"], shown.attrib["value"][1:]

    def get_control(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(labels=[label.attrib["value"] for label in self._root.iter("Label")])


class LabelStudioMLBase:
    def __init__(self, project_id: str, label_config: str) -> None:
        self.label_interface = LabelInterface(label_config)
        self._kept: dict[str, str] = {}
        self.setup()

    def setup(self) -> None: ...

    def set(self, key: str, value: str) -> None:
        self._kept[key] = value

    def get(self, key: str) -> str:
        return self._kept[key]

    def get_local_path(self, url: str, task_id: int | None = None) -> str:
        raise NotImplementedError
