"""CVAT's SDK as far as the example uses it; of cvat-sdk 2.80, its source and
https://docs.cvat.ai/docs/api_sdk/sdk/auto-annotation/.
"""
